--- optim.RMSprop, in one fused operation per step.

local optimizer = require "mascon.optim.optimizer"

local RMSprop = {
  class_name = "RMSprop",
  spec = {
    { "lr", 1e-2, "number", min = 0 }, { "alpha", 0.99, "number", min = 0 },
    { "eps", 1e-8, "number", min = 0 }, { "weight_decay", 0, "number", min = 0 },
    { "momentum", 0, "number", min = 0 }, { "centered", false, "boolean" },
    { "maximize", false, "boolean" },
  },
  state_names = { "square_avg", "grad_avg", "momentum_buffer" },
}

--- step counts for other programs that read the state dict; the arithmetic does not need it.
function RMSprop:new_state(p)
  return { step = 0, square_avg = optimizer.zeros_like(p, self.class_name) }
end

function RMSprop.key()
  return 0
end

-- State tensors in the order of the operation, by 1 for centered plus 2 for momentum.
local names = {
  [0] = { "square_avg" }, { "square_avg", "grad_avg" }, { "square_avg", "momentum_buffer" },
  { "square_avg", "grad_avg", "momentum_buffer" },
}

function RMSprop:given(group)
  local given = self.work.options
  given.lr, given.alpha, given.eps = group.lr, group.alpha, group.eps
  given.weight_decay, given.momentum = group.weight_decay, group.momentum
  given.centered, given.maximize = group.centered, group.maximize
  return given
end

function RMSprop:run(group, params, grads, n)
  local wanted = names[(group.centered and 1 or 0) + (group.momentum ~= 0 and 2 or 0)]
  for i = 1, n do
    local s = self.state[params[i]]
    for _, name in ipairs(wanted) do
      s[name] = s[name] or optimizer.zeros_like(params[i], self.class_name)
    end
  end
  self:apply("rmsprop", group, params, grads, n, wanted, true)
end

--- optim.RMSprop(params, {lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0,
--- centered = false, maximize = false})
return optimizer.define(RMSprop)
