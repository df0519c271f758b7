"""Models: networks by name with their weights, cost and arithmetic."""
