"""What every experiment shares: state, steps, loop, checkpoints, logging, configs."""
