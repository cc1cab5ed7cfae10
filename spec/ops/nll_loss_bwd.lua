-- nll_loss_bwd runs as the gradient of nll_loss; its samples are there.
return { samples = {}, backward_of = "nll_loss" }
