-- binary_cross_entropy_with_logits_bwd runs as the gradient of binary_cross_entropy_with_logits; its samples are there.
return { samples = {}, backward_of = "binary_cross_entropy_with_logits" }
