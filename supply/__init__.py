"""What the product is made of, told to those who have to answer for it."""
