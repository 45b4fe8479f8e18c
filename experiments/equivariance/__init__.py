"""How equivariant are generators and classifiers, as a whole and layer by layer?"""
