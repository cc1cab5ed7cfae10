-- l1_loss_bwd runs as the gradient of l1_loss; its samples are there.
return { samples = {}, backward_of = "l1_loss" }
