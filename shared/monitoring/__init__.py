"""What operators are shown of calls: their figures, metrics, notifications."""
