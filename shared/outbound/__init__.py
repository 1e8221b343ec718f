"""What goes to targets: HTTP requests, with their credentials and signatures."""
