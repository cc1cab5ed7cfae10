--- mascon.EarlyStopping: notices that a value no longer improves, and keeps the best weights.

local autograd = require "mascon.autograd"
local layer = require "mascon.ffi"
local options = require "mascon.options"

---@class mascon.EarlyStopping
---@field best number? the best value so far
---@field best_step integer? the step that gave it, from 1
---@field bad_steps integer steps since then
---@field steps integer
local EarlyStopping = { class_name = "EarlyStopping" }
EarlyStopping.__index = EarlyStopping

local spec = {
  { "patience", 3, "integer", min = 1 },
  { "mode", "min", "string", choices = { "min", "max" } },
  { "min_delta", 0, "number", min = 0 },
}

local function check_model(model)
  if type(model) ~= "table" or type(model.state_dict) ~= "function" then
    options.fail("EarlyStopping", ("the model is %s; expected a module"):format(options.show(model)))
  end
end

--- Copies of the tensors of a state dict, outside of any scope.
local function copies(sd)
  local list = {}
  autograd.no_grad(function()
    for name, t in pairs(sd) do
      list[name] = autograd.keep(t:detach():clone())
    end
  end)
  return list
end

--- Notes a value, and the model's weights where it is the best so far.
---@param value number|mascon.Tensor of an epoch, such as the validation loss; NaN is no improvement
---@param model? mascon.nn.Module for restore
---@return boolean whether to stop: `patience` steps in a row brought no improvement above min_delta
function EarlyStopping:step(value, model)
  if layer.is_tensor(value) then
    value = value:item()
  end
  if type(value) ~= "number" then
    options.fail("EarlyStopping", ("step takes the value to watch; it is %s"):format(options.show(value)))
  end
  if model ~= nil then
    check_model(model)
  end
  self.steps = self.steps + 1
  local best = self.best
  local better = value == value and (best == nil
    or self.mode == "min" and value < best - self.min_delta
    or self.mode == "max" and value > best + self.min_delta)
  if better then
    self.best, self.best_step, self.bad_steps = value, self.steps, 0
    self.weights = model and copies(model:state_dict()) or nil
  else
    self.bad_steps = self.bad_steps + 1
  end
  return self.bad_steps >= self.patience
end

--- Gives the model the weights of the best step.
---@param model mascon.nn.Module
function EarlyStopping:restore(model)
  check_model(model)
  if not self.weights then
    options.fail("EarlyStopping", self.best and "the best step kept no weights; give the model to step"
      or "no step has brought a value yet", self.best and "stopper:step(value, model)" or nil)
  end
  model:load_state_dict(self.weights)
end

--- Position, options and best weights.
---@return table
function EarlyStopping:state_dict()
  local sd = { steps = self.steps, bad_steps = self.bad_steps, best = self.best,
    best_step = self.best_step, weights = self.weights, options = {} }
  for _, field in ipairs(spec) do
    sd.options[field[1]] = self[field[1]]
  end
  return sd
end

--- Checks a state dict; nothing is changed yet.
---@param sd table as state_dict gives
---@return fun() takes it over
function EarlyStopping:prepare_state_dict(sd)
  local name = "EarlyStopping"
  if type(sd) ~= "table" or type(sd.options) ~= "table" then
    options.fail(name, "load_state_dict takes what state_dict gave")
  end
  options.check(name, { "steps", nil, "integer", min = 0 }, sd.steps)
  options.check(name, { "bad_steps", nil, "integer", min = 0 }, sd.bad_steps)
  if sd.best ~= nil then
    options.check(name, { "best", nil, "number" }, sd.best)
    options.check(name, { "best_step", nil, "integer", min = 1 }, sd.best_step)
  end
  for key, t in pairs(sd.weights or {}) do
    if not layer.is_tensor(t) then
      options.fail(name, ("weights %s is %s; expected a tensor"):format(options.show(key), options.show(t)))
    end
  end
  local read = options.read(name, sd.options, spec)
  return function()
    for key, v in pairs(read) do
      self[key] = v
    end
    self.steps, self.bad_steps, self.best, self.best_step = sd.steps, sd.bad_steps, sd.best, sd.best_step
    self.weights = sd.weights and copies(sd.weights) or nil
  end
end

--- Takes over the state of another one.
---@param sd table
function EarlyStopping:load_state_dict(sd)
  self:prepare_state_dict(sd)()
end

--- EarlyStopping{patience = 3, mode = "min", min_delta = 0}
return function(given)
  local self = options.read("EarlyStopping", given, spec)
  self.steps, self.bad_steps = 0, 0
  return setmetatable(self, EarlyStopping)
end
