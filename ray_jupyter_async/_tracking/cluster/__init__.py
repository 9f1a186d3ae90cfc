"""What the cluster reports about tasks that are not awaited."""
