"""The processes of a deployment: the parent, the store it opens and watches, the workers and the hunter it starts."""
