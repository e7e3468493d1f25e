"""What is behind `proxy.admin`: who asks, what each route does, and how it is said."""
