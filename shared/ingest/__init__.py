"""The way in: what a source sends is validated, its token kept, its records inserted."""
