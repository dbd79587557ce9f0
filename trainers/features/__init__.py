"""Networks trained on ImageNet, whose features tell how alike two pictures look."""
