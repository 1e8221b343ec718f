"""What operators see of calls: statistics, metrics and notifications."""
