--- optim.Adam and optim.AdamW, in one fused operation per step.

local optimizer = require "mascon.optim.optimizer"
local options = require "mascon.options"

local Adam = {
  class_name = "Adam",
  spec = {
    { "lr", 1e-3, "number", min = 0 }, { "betas", { 0.9, 0.999 }, "table" },
    { "eps", 1e-8, "number", min = 0 }, { "weight_decay", 0, "number", min = 0 },
    { "amsgrad", false, "boolean" }, { "maximize", false, "boolean" },
  },
  state_names = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" },
  fixed = { decoupled_weight_decay = false },
}

function Adam.check_options(group, name)
  if #group.betas ~= 2 then
    options.fail(name, ("betas has %d values; expected 2"):format(#group.betas))
  end
  for i, beta in ipairs(group.betas) do
    options.check(name, { ("betas[%d]"):format(i), nil, "number" }, beta)
    if not (beta >= 0 and beta < 1) then
      options.fail(name, ("betas[%d] is %s; must be at least 0 and below 1"):format(i,
        options.show(beta)))
    end
  end
end

function Adam:new_state(p)
  return { step = 0, exp_avg = optimizer.zeros_like(p, self.class_name),
    exp_avg_sq = optimizer.zeros_like(p, self.class_name) }
end

function Adam.key(s)
  return s.step
end

local plain, with_largest = { "exp_avg", "exp_avg_sq" }, { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" }

function Adam:given(group, states)
  local given = self.work.options
  given.lr, given.eps, given.weight_decay = group.lr, group.eps, group.weight_decay
  given.beta1, given.beta2 = group.betas[1], group.betas[2]
  given.amsgrad, given.maximize = group.amsgrad, group.maximize
  given.decoupled = self.fixed.decoupled_weight_decay
  given.step = states[1].step + 1
  return given
end

function Adam:run(group, params, grads, n)
  if group.amsgrad then
    for i = 1, n do
      local s = self.state[params[i]]
      s.max_exp_avg_sq = s.max_exp_avg_sq or optimizer.zeros_like(params[i], self.class_name)
    end
  end
  self:apply("adam", group, params, grads, n, group.amsgrad and with_largest or plain, true)
end

--- The same with decay taken from the parameter itself, apart from the gradient.
local AdamW = setmetatable({
  class_name = "AdamW",
  spec = { unpack(Adam.spec) },
  fixed = { decoupled_weight_decay = true },
}, { __index = Adam })
AdamW.spec[4] = { "weight_decay", 1e-2, "number", min = 0 }

return {
  --- optim.Adam(params, {lr = 1e-3, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, amsgrad = false,
  --- maximize = false})
  Adam = optimizer.define(Adam),
  --- optim.AdamW(params, {...}): as Adam, with weight_decay = 0.01
  AdamW = optimizer.define(AdamW),
}
