"""What `FittedBlackbox` is made of: observations from journals, scales, the model of curves, and how well it predicts."""
