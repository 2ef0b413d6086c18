"""The engines that animate a face, and the contract they fulfil."""
