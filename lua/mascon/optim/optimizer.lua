--- What all optimizers share: parameter groups, state per parameter, gradients, state dicts.
-- A class gives its options, the names of its state tensors and `run`, which makes one step over a list of
-- parameters whose state has equal keys. State is made when a parameter first has a gradient.

local autograd = require "mascon.autograd"
local create = require "mascon.create"
local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"
local recording = require "mascon.recording"

local C, is_tensor, check, box = layer.C, layer.is_tensor, layer.check, layer.tensor_box

---@class mascon.optim.Optimizer
---@field param_groups table[] {params = {…}, lr =, …}
---@field lr number the first group's; setting it sets all groups'
local Optimizer = { class_name = "Optimizer" }

-- Parameters ----------------------------------------------------------------------------------------

local function check_params(self, params, seen)
  local name = self.class_name
  for i, p in ipairs(params) do
    if not is_tensor(p) then
      options.fail(name, ("parameter %d is %s; expected a tensor"):format(i, options.show(p)))
    elseif not p.is_leaf then
      options.fail(name, ("parameter %d is the result of an operation; only leaves can be trained")
        :format(i), "x:detach()")
    elseif seen[p] then
      options.fail(name, ("parameter %d is given twice"):format(i))
    end
    seen[p] = true
  end
end

--- Whether v is an optimizer.
local function is_optimizer(v)
  local mt = type(v) == "table" and getmetatable(v)
  return type(mt) == "table" and mt.__index == Optimizer.__index
end

local function check_object(self)
  if not is_optimizer(self) then
    options.no_object "an optimizer"
  end
end

local function option_names(spec)
  local names = {}
  for i, field in ipairs(spec) do
    names[i] = field[1]
  end
  return names
end

--- Reads a group's own options over the optimizer's.
local function read_group(self, given)
  local merged = {}
  for k, v in pairs(self.defaults) do
    merged[k] = v
  end
  local params
  for k, v in pairs(given) do
    if k == "params" then
      params = v
    elseif type(k) == "string" then
      merged[k] = v
    end
  end
  if is_tensor(params) then
    params = { params }
  elseif type(params) ~= "table" then
    options.fail(self.class_name, ("params of a group are %s; expected a list of tensors"):format(
      options.show(params)), is_tensor(given[1]) and ("the parameters come first, the options after them: "
      .. "%s(params, { lr = ... })"):format(self.class_name) or nil)
  end
  local group = options.read(self.class_name, merged, self.spec)
  if self.check_options then
    self.check_options(group, self.class_name)
  end
  group.params = {}
  for i, p in ipairs(params) do
    group.params[i] = p
  end
  return group
end

--- Adds parameters with options of their own.
---@param given table {params = {…}, lr =, …}
function Optimizer:add_param_group(given)
  check_object(self)
  if type(given) ~= "table" then
    options.fail(self.class_name, ("group is %s; expected {params = {...}}"):format(
      options.show(given)))
  end
  local seen = {}
  for _, group in ipairs(self.param_groups) do
    for _, p in ipairs(group.params) do
      seen[p] = true
    end
  end
  local group = read_group(self, given)
  check_params(self, group.params, seen)
  table.insert(self.param_groups, group)
end

local function check_given(self, params)
  local name = self.class_name
  if type(params) ~= "table" or getmetatable(params) ~= nil then
    local is_model = type(params) == "table" and type(params.parameters) == "function"
    options.fail(name, ("argument 1 is %s; expected a list of parameters"):format(
      is_model and "a module" or is_tensor(params) and "a tensor" or options.show(params)),
      (is_model or type(params) == "function") and "model:parameters()" or is_tensor(params) and "{x}" or nil)
  end
end

local function check_some_train(self)
  local total = 0
  for _, group in ipairs(self.param_groups) do
    for _, p in ipairs(group.params) do
      total = total + 1
      if p.requires_grad then
        return
      end
    end
  end
  options.fail(self.class_name, total == 0 and "0 parameters given"
    or ("0 parameters given; all %d parameters of the model are frozen"):format(total))
end

-- State ---------------------------------------------------------------------------------------------

--- Zeros with the shape and the memory order of p.
local function make_zeros(p, name)
  local t
  if p:layout() == "nhwc" then
    t = create.new_nhwc(name, p.shape, p.dtype, p.device)
    op.run("fill", name, true, t, 0)
  else
    t = create.zeros_like(p)
  end
  return autograd.keep(t)
end

local function zeros_like(p, name)
  return recording.outside(make_zeros, p, name)
end
Optimizer.zeros_like = zeros_like

-- Steps ---------------------------------------------------------------------------------------------

--- Collects the group's parameters that have a gradient. The references to the gradients are counted
--- ones in plain tables, given back by `drop`: no garbage is left to hold a gradient's memory.
local function gather(self, group)
  local params, grads, keys, n = self.work.params, self.work.grads, self.work.keys, 0
  for _, p in ipairs(group.params) do
    check(C.mascon_tensor_grad(p.h, box), self.class_name)
    local handle = box[0]
    if handle ~= nil then
      n = n + 1
      local slot = grads[n]
      if not slot then
        slot = {}
        grads[n] = slot
      end
      params[n], slot.h = p, handle
      local s = self.state[p]
      if not s then
        s = recording.outside(self.new_state, self, p)
        self.state[p] = s
      end
      keys[n] = self.key(s, group) + C.mascon_tensor_device(p.h) * 2 ^ 40
    end
  end
  return n
end

local function drop(self)
  local work = self.work
  for i = 1, #work.grads do
    local slot = work.grads[i]
    if slot.h ~= nil then
      C.mascon_tensor_release(slot.h)
      slot.h = nil
    end
    work.params[i] = nil
  end
end

local function is_uniform(keys, n)
  for i = 2, n do
    if keys[i] ~= keys[1] then
      return false
    end
  end
  return true
end

--- Steps the members of a mixed group, those with equal keys together.
local function run_mixed(self, group, params, grads, keys, n)
  local done = {}
  for i = 1, n do
    if not done[i] then
      local some_params, some_grads = {}, {}
      for j = i, n do
        if keys[j] == keys[i] then
          done[j] = true
          some_params[#some_params + 1] = params[j]
          some_grads[#some_grads + 1] = grads[j]
        end
      end
      self:run(group, some_params, some_grads, #some_params)
    end
  end
end

local function step_groups(self)
  for _, group in ipairs(self.param_groups) do
    local n = gather(self, group)
    local work = self.work
    if n > 0 then
      if is_uniform(work.keys, n) then
        self:run(group, work.params, work.grads, n)
      else
        run_mixed(self, group, work.params, work.grads, work.keys, n)
      end
    end
    drop(self)
  end
end

--- What a replay does for the number of steps that this optimizer has taken.
local function step_count(self)
  local function count(by)
    self.steps_taken = self.steps_taken + by
    autograd.steps_taken = self.steps_taken
    return {}
  end
  local groups = self.param_groups
  local n, last = #groups, groups[#groups]
  return {
    given = {}, names = {},
    valid = function() return self.param_groups == groups and #groups == n and groups[n] == last end,
    advance = function() return count(1) end,
    undo = function() count(-1) end,
  }
end

--- Changes every parameter that has a gradient.
---@param closure? fun(): any is called first: it computes the loss and its gradients
---@return any loss what closure returned
function Optimizer:step(closure)
  check_object(self)
  local loss
  if closure ~= nil then
    options.check("step", { "closure", nil, "function" }, closure)
    loss = autograd.enable_grad(closure)
  end
  local good, err = pcall(step_groups, self)
  if not good then
    drop(self)
    error(err, 0)
  end
  self.steps_taken = self.steps_taken + 1
  autograd.steps_taken = self.steps_taken
  if recording.count() then
    recording.step(step_count(self))
  end
  return loss
end

--- The flat list of an optimizer's op: params, gradients, then each state tensor's list.
function Optimizer:list(params, grads, n, state_names)
  local flat, at = self.work.flat, 2 * n
  for i = 1, n do
    flat[i], flat[n + i] = params[i], grads[i]
  end
  for _, name in ipairs(state_names) do
    for i = 1, n do
      flat[at + i] = self.state[params[i]][name]
    end
    at = at + n
  end
  for i = #flat, at + 1, -1 do
    flat[i] = nil
  end
  return flat
end

--- Runs the class's op over a list of n parameters and gradients with the state tensors of state_names. The
--- options are those of self:given(group, params), which a replay of a recording asks for again; `counted`:
--- the states count their steps.
---@param name string op
function Optimizer:apply(name, group, params, grads, n, state_names, counted)
  local states, list = {}, self.state
  for i = 1, n do
    states[i] = list[params[i]]
  end
  local function count(by)
    for i = 1, counted and n or 0 do
      states[i].step = states[i].step + by
    end
  end
  local given = self:given(group, states)
  local id, first, last = op.run_list(name, self:list(params, grads, n, state_names), given)
  count(1)
  if not first then
    return
  end
  local kept, names = {}, {}
  for key, v in pairs(given) do
    names[#names + 1] = key
    kept[key] = v == true and 1 or v == false and 0 or v
  end
  local tensors = #state_names > 0 and states[1][state_names[1]]
  recording.step {
    op = id, first = first, last = last, given = kept, names = names,
    valid = function()
      return self.state == list and (not tensors or states[1][state_names[1]] == tensors)
    end,
    advance = function()
      local now = self:given(group, states)
      count(1)
      return now
    end,
    undo = function() count(-1) end,
  }
end

--- Forgets the gradients of all parameters.
function Optimizer:zero_grad(given)
  options.read("zero_grad", given, {})
  check_object(self)
  for _, group in ipairs(self.param_groups) do
    for _, p in ipairs(group.params) do
      check(C.mascon_tensor_set_grad(p.h, nil), "zero_grad")
    end
  end
end

-- State dicts ---------------------------------------------------------------------------------------

local function copy_value(v)
  if type(v) ~= "table" then
    return v
  end
  local t = {}
  for i, item in pairs(v) do
    t[i] = item
  end
  return t
end

--- State and options in PyTorch's form: parameters are numbered from 0 in the order of the groups.
---@return table {state = {[0] = {…}, …}, param_groups = {{lr =, …, params = {0, 1, …}}, …}}
function Optimizer:state_dict()
  check_object(self)
  local sd, number = { state = {}, param_groups = {} }, 0
  for g, group in ipairs(self.param_groups) do
    local saved = { params = {} }
    for _, field in ipairs(self.spec) do
      saved[field[1]] = copy_value(group[field[1]])
    end
    for i, p in ipairs(group.params) do
      saved.params[i] = number
      local s = self.state[p]
      if s then
        local entry = {}
        for name, v in pairs(s) do
          entry[name] = v
        end
        sd.state[number] = entry
      end
      number = number + 1
    end
    sd.param_groups[g] = saved
  end
  return sd
end

-- In files that PyTorch wrote: switches between implementations of the same arithmetic, and what its
-- schedulers keep in the groups.
local foreign = { foreach = true, capturable = true, differentiable = true, fused = true,
  initial_lr = true, max_lr = true, min_lr = true, max_momentum = true, base_momentum = true }

local function load_group(self, group, saved)
  local known, values = {}, {}
  for _, field in ipairs(self.spec) do
    known[field[1]] = true
  end
  for k, v in pairs(saved) do
    if known[k] then
      values[k] = copy_value(v)
    elseif k ~= "params" and not foreign[k] and not (self.fixed and self.fixed[k] == v) then
      options.fail(self.class_name, ("the state dict has the option %s, which it does not know")
        :format(options.show(k)), "is it of another optimizer?")
    end
  end
  local read = options.read(self.class_name, values, self.spec)
  if self.check_options then
    self.check_options(read, self.class_name)
  end
  return function()
    for k, v in pairs(read) do
      group[k] = v
    end
  end
end

local function load_entry(self, p, number, saved)
  local s = self:new_state(p)
  local wanted = {}
  for _, name in ipairs(self.state_names) do
    wanted[name] = true
  end
  for name, v in pairs(saved) do
    if name == "step" then
      s.step = is_tensor(v) and v:item() or v
    elseif not wanted[name] then
      options.fail(self.class_name, ("the state dict has %s for parameter %d, which it does not know")
        :format(options.show(name), number), "is it of another optimizer?")
    elseif not is_tensor(v) or table.concat(v.shape, ",") ~= table.concat(p.shape, ",") then
      options.fail(self.class_name, ("%s of parameter %d is %s; the parameter is {%s}"):format(name,
        number, is_tensor(v) and "{" .. table.concat(v.shape, ", ") .. "}" or options.show(v),
        table.concat(p.shape, ", ")))
    else
      s[name] = zeros_like(p, self.class_name):copy_(v:detach():to(p.device))
    end
  end
  return s
end

--- Checks a state dict against this optimizer and makes the new state; nothing is changed yet.
---@param sd table as state_dict gives, or PyTorch's
---@return fun() takes state and options over
function Optimizer:prepare_state_dict(sd)
  local name = self.class_name
  if type(sd) ~= "table" or type(sd.param_groups) ~= "table" or type(sd.state) ~= "table" then
    options.fail(name, "load_state_dict takes a table with state and param_groups")
  elseif #sd.param_groups ~= #self.param_groups then
    options.fail(name, ("the state dict has %d parameter groups, this optimizer has %d"):format(
      #sd.param_groups, #self.param_groups))
  end
  local number, loaded, finish = 0, {}, {}
  for g, group in ipairs(self.param_groups) do
    local saved = sd.param_groups[g]
    if type(saved.params) == "table" and #saved.params ~= #group.params then
      options.fail(name, ("group %d of the state dict has %d parameters, this optimizer's has %d")
        :format(g, #saved.params, #group.params))
    end
    finish[g] = load_group(self, group, saved)
    for i, p in ipairs(group.params) do
      local entry = sd.state[saved.params and saved.params[i] or number]
      if entry then
        loaded[p] = load_entry(self, p, number, entry)
      end
      number = number + 1
    end
  end
  return function()
    self.state = loaded
    for _, s in pairs(loaded) do
      self.steps_taken = math.max(self.steps_taken, s.step or 0)
    end
    autograd.steps_taken = self.steps_taken
    for _, apply in ipairs(finish) do
      apply()
    end
  end
end

--- Takes over state and options; the number of groups and of their parameters must agree. Nothing is
--- changed when something does not fit.
---@param sd table as state_dict gives, or PyTorch's
function Optimizer:load_state_dict(sd)
  check_object(self)
  self:prepare_state_dict(sd)()
end

-- Classes -------------------------------------------------------------------------------------------

function Optimizer:__index(name)
  if name == "lr" then
    return self.param_groups[1].lr
  end
  return getmetatable(self).class[name]
end

function Optimizer:__newindex(name, v)
  if name ~= "lr" then
    rawset(self, name, v)
    return
  end
  options.check(self.class_name, { "lr", nil, "number", min = 0 }, v)
  recording.refuse(self.class_name, "a change of lr", "change it outside of the compiled function")
  for _, group in ipairs(self.param_groups) do
    group.lr = v
  end
end

function Optimizer:__tostring()
  local lines = {}
  for g, group in ipairs(self.param_groups) do
    lines[#lines + 1] = ("Parameter Group %d: %d parameters"):format(g, #group.params)
    for _, name in ipairs(option_names(self.spec)) do
      local v = group[name]
      lines[#lines + 1] = ("    %s: %s"):format(name,
        type(v) == "table" and "{" .. table.concat(v, ", ") .. "}" or tostring(v))
    end
  end
  return ("%s (\n%s\n)"):format(self.class_name, table.concat(lines, "\n"))
end

--- Makes the class and returns its constructor.
---@param class table class_name, spec, state_names, key(state, group), new_state, run, check_options?
---@return fun(params: table, given?: table): table
local function define(class)
  if getmetatable(class) == nil then
    setmetatable(class, { __index = Optimizer })
  end
  local mt = { class = class, __index = Optimizer.__index, __newindex = Optimizer.__newindex,
    __tostring = Optimizer.__tostring }
  return function(params, given)
    local self = {
      param_groups = {}, state = {}, steps_taken = 0,
      work = { params = {}, grads = {}, keys = {}, flat = {}, options = {} },
    }
    setmetatable(self, mt)
    check_given(self, params)
    rawset(self, "defaults", options.read(class.class_name, given, class.spec))
    if type(params[1]) == "table" and getmetatable(params[1]) == nil then
      for _, group in ipairs(params) do
        self:add_param_group(group)
      end
    else
      self:add_param_group { params = params }
    end
    check_some_train(self)
    autograd.steps_taken = 0
    return self
  end
end

return { define = define, zeros_like = zeros_like, is_optimizer = is_optimizer }
