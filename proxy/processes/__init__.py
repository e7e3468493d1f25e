"""The processes of a deployment: the parent, and the workers and the hunter that it starts and watches."""
