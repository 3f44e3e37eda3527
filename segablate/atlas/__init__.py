"""Every loss at its published setting on one pass of a network: what each sees, and which of them are alike."""
