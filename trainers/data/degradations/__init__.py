"""What can happen to a picture between the scene and the network's input, one file each."""
