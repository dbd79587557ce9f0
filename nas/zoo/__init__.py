"""Networks that this project has trained and that come with the package, each a bundle."""
