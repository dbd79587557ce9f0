"""What training minimises: each loss compares a prediction with its target."""
