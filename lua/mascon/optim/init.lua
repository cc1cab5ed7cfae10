--- mascon.optim: optimizers and schedules of their learning rates.

local adam = require "mascon.optim.adam"

return {
  SGD = require "mascon.optim.sgd",
  Adam = adam.Adam,
  AdamW = adam.AdamW,
  RMSprop = require "mascon.optim.rmsprop",
  lr_scheduler = require "mascon.optim.lr_scheduler",
}
