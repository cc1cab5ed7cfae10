--- nn.utils: changes of all gradients between backward and the optimizer's step.

local autograd = require "mascon.autograd"
local create = require "mascon.create"
local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"

local M = {}
local clip = op.find "clip_grad_norm"

--- The gradients that parameters have; those without one are left out.
local function gradients(name, params)
  if layer.is_tensor(params) then
    params = { params }
  elseif type(params) ~= "table" or getmetatable(params) ~= nil then
    options.fail(name, ("argument 1 is %s; expected a list of parameters"):format(options.show(params)),
      type(params) == "table" and type(params.parameters) == "function" and "model:parameters()" or nil)
  end
  local grads = {}
  for i, p in ipairs(params) do
    if not layer.is_tensor(p) then
      options.fail(name, ("parameter %d is %s; expected a tensor"):format(i, options.show(p)))
    end
    grads[#grads + 1] = p.grad
  end
  return grads
end

--- Scales the gradients, in place, so that the norm of all of them together is at most max_norm.
---@param params mascon.Tensor[]|mascon.Tensor
---@param max_norm number
---@param given? {norm_type: number?, error_if_nonfinite: boolean?} norm_type = 2; math.huge: the largest
---  magnitude
---@return mascon.Tensor norm before, 0-dimensional
function M.clip_grad_norm_(params, max_norm, given)
  local name = "clip_grad_norm_"
  options.check(name, { "max_norm", nil, "number", min = 0 }, max_norm)
  local o = options.read(name, given, {
    { "norm_type", 2, "number" }, { "error_if_nonfinite", false, "boolean" },
  })
  if o.norm_type <= 0 or o.norm_type ~= o.norm_type then
    options.fail(name, ("norm_type is %s; must be above 0"):format(options.show(o.norm_type)))
  end
  local grads = gradients(name, params)
  if #grads == 0 then
    return create.zeros {}
  end
  return autograd.no_grad(function()
    if o.error_if_nonfinite then
      local v = clip(grads, { max_norm = math.huge, norm_type = o.norm_type }):item()
      if v ~= v or v == math.huge then
        options.fail(name, ("the norm of the gradients is %s"):format(v ~= v and "nan" or "inf"))
      end
    end
    return clip(grads, { max_norm = max_norm, norm_type = o.norm_type })
  end)
end

--- Brings every element of the gradients, in place, into [-clip_value, clip_value].
---@param params mascon.Tensor[]|mascon.Tensor
---@param clip_value number
function M.clip_grad_value_(params, clip_value)
  options.check("clip_grad_value_", { "clip_value", nil, "number", min = 0 }, clip_value)
  autograd.no_grad(function()
    for _, g in ipairs(gradients("clip_grad_value_", params)) do
      op.run("clamp", "clip_grad_value_", true, g, { min = -clip_value, max = clip_value })
    end
  end)
end

return M
