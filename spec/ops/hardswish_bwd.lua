-- hardswish_bwd runs as the gradient of hardswish; its samples are there.
return { samples = {}, backward_of = "hardswish" }
