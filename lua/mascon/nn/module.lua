--- nn.Module: the base of all layers and networks.
-- An object keeps its fields in a table of their own (`values`), never in itself, so that every
-- assignment is seen: parameters, buffers and children are found by kind, in the order in which they
-- were first assigned. The array part of a container (nn.Sequential, nn.ModuleList) lies in the object.

local autograd = require "mascon.autograd"
local layer = require "mascon.ffi"
local options = require "mascon.options"
local raise = require "mascon.raise"
local recording = require "mascon.recording"
local state = require "mascon.nn.state"

local is_tensor = layer.is_tensor

---@class mascon.nn.Module
---@field training boolean
local Module = { class_name = "Module" }

-- Parameters ----------------------------------------------------------------------------------------

local parameters = setmetatable({}, { __mode = "k" })

--- A tensor that becomes a parameter of the module to whose field it is assigned. Shares t's memory.
---@param t mascon.Tensor of a floating type
---@param given? table requires_grad = true
---@return mascon.Tensor
local function Parameter(t, given)
  if not is_tensor(t) then
    options.fail("Parameter", ("argument 1 is %s; expected a tensor"):format(options.show(t)))
  end
  local read = options.read("Parameter", given, { { "requires_grad", true, "boolean" } })
  local p = autograd.keep(t:detach())
  if read.requires_grad then
    p:requires_grad_(true)
  end
  parameters[p] = true
  return p
end

-- Fields --------------------------------------------------------------------------------------------

--- The books of a module: nil for anything else.
---@return table? {values, kinds = {name -> "parameter" | "buffer" | "child"}, order = {name…}, …}
local function books_of(v)
  local mt = type(v) == "table" and getmetatable(v)
  return type(mt) == "table" and mt.books or nil
end

--- The books of a method's object.
local function own_books(self)
  return books_of(self) or options.no_object "a module"
end

local function is_module(v)
  return books_of(v) ~= nil
end

local function check_plain_table(self, name, v)
  for _, item in pairs(v) do
    if is_module(item) then
      options.fail(self.class_name, ("field %s is a plain table of modules; its parameters would not "
        .. "be found"):format(name), ("self.%s = nn.ModuleList{...}"):format(name))
    end
  end
end

local function forget(books, name)
  if books.kinds[name] then
    books.kinds[name] = nil
    for i, other in ipairs(books.order) do
      if other == name then
        table.remove(books.order, i)
        break
      end
    end
  end
  books.values[name] = nil
  books.absent[name] = true
end

local function track(books, name, kind, v)
  if not books.kinds[name] then
    books.order[#books.order + 1] = name
  end
  books.kinds[name] = kind
  books.values[name] = v
end

--- Every assignment to a field that is no array element comes through here.
local function assign(self, name, v)
  local books = books_of(self)
  local class = books.class
  if class.assigned and class.assigned(self, books, name, v) then
    return
  end
  if class.prepared and class.prepared[name] then
    books.values.run = nil -- options of the layer changed: its call is prepared again
  end
  if rawget(books.values, name) ~= nil and (books.kinds[name] or is_module(v) or parameters[v]
    or class.prepared and class.prepared[name]) then
    recording.changed()
  end
  if layer.state.recording then
    recording.replaced(class.class_name, name, rawget(books.values, name), v)
  end
  if name == "training" or name == "frozen" then
    layer.state.modes = (layer.state.modes or 0) + 1
  end
  if v == nil then
    forget(books, name)
  elseif is_module(v) then
    track(books, name, "child", v)
  elseif is_tensor(v) then
    if parameters[v] then
      track(books, name, "parameter", autograd.keep(v))
    elseif books.kinds[name] == "buffer" then
      books.values[name] = autograd.keep(v)
    elseif books.kinds[name] == "parameter" then
      options.fail(class.class_name, ("field %s is a parameter; cannot assign a plain tensor to it")
        :format(options.show(name)), ("nn.Parameter(t), or self.%s:copy_(t) inside no_grad"):format(name))
    else
      books.values[name] = v
    end
  else
    if books.kinds[name] then
      forget(books, name)
    end
    if type(v) == "table" and getmetatable(v) == nil then
      check_plain_table(self, name, v)
    end
    books.values[name] = v
  end
end

-- What is read but does not exist ----------------------------------------------------------------------

local function source_line(info)
  local number = 0
  if info.source:sub(1, 1) == "@" then
    local file = io.open(info.source:sub(2))
    if not file then
      return
    end
    for line in file:lines() do
      number = number + 1
      if number == info.currentline then
        file:close()
        return line
      end
    end
    file:close()
  else
    for line in (info.source .. "\n"):gmatch "(.-)\n" do
      number = number + 1
      if number == info.currentline then
        return line
      end
    end
  end
end

local function method_names(class, list)
  list = list or {}
  for name, v in pairs(class) do
    if type(v) == "function" then
      list[#list + 1] = name
    end
  end
  return class.super and method_names(class.super, list) or list
end

--- A field that was never set reads as nil, as in any table; a call of it as a method is answered
--- with the method that was meant.
local function missing(books, name)
  books.absent[name] = true
  local info = type(name) == "string" and debug.getinfo(3, "Sl")
  local line = info and info.currentline > 0 and source_line(info)
  if line and line:find(":%s*" .. name .. "%s*[%({\"'%[]") and not line:find("%.%s*" .. name .. "%f[^%w_]") then
    books.absent[name] = nil
    local nearest = options.nearest(name, method_names(books.class))
    options.fail(books.class.class_name, ('there is no method "%s"'):format(name),
      nearest and ('did you mean "%s"?'):format(nearest))
  end
end

-- Calls ---------------------------------------------------------------------------------------------

local each_module

--- Keeps the call of a module on the stack, where errors find it: a tail call would leave none.
local function framed(...)
  return ...
end

local function run_hooks(self, hooks, inputs, ...)
  local n, outputs = select("#", ...), { ... }
  for _, hook in ipairs(hooks) do
    local results = { hook(self, inputs, unpack(outputs, 1, n)) }
    if results[1] ~= nil then
      n, outputs = table.maxn(results), results
    end
  end
  return unpack(outputs, 1, n)
end

local function call(self, ...)
  if layer.state.recording then
    recording.module(self, each_module)
  end
  local hooks = books_of(self).hooks
  if hooks then
    return framed(run_hooks(self, hooks, { ... }, self:forward(...)))
  end
  return framed(self:forward(...))
end
raise.module_call = call

--- What the module computes; every class has its own.
function Module:forward()
  options.fail(self.class_name, "forward is not defined",
    ("function %s:forward(x) ... end"):format(self.class_name))
end

function Module:init(...)
  if select("#", ...) > 0 then
    options.fail(self.class_name, "it takes no arguments")
  end
end

--- Registers fn(module, inputs, outputs...) to run after each forward; what it returns, if anything,
--- replaces the outputs.
---@param fn function
---@return table handle handle:remove() takes the hook away
function Module:register_forward_hook(fn)
  own_books(self)
  options.check("register_forward_hook", { "argument 1", nil, "function" }, fn)
  local books = books_of(self)
  recording.changed()
  books.hooks = books.hooks or {}
  table.insert(books.hooks, fn)
  local handle = {}
  function handle.remove()
    recording.changed()
    for i, hook in ipairs(books.hooks or {}) do
      if hook == fn then
        table.remove(books.hooks, i)
        break
      end
    end
    if books.hooks and #books.hooks == 0 then
      books.hooks = nil
    end
  end
  return handle
end

-- Classes and objects -----------------------------------------------------------------------------------

local function new_object(class)
  local books = { class = class, kinds = {}, order = {}, absent = {}, persistent = {} }
  books.values = setmetatable({ training = true }, {
    __index = function(_, name)
      local v = class[name]
      if v == nil and not books.absent[name] then
        if class.lookup then
          v = class.lookup(books, name)
        end
        if v == nil then
          missing(books, name)
        end
      end
      return v
    end,
  })
  local object = setmetatable({}, {
    books = books,
    __index = books.values,
    __newindex = assign,
    __call = call,
    __tostring = class.describe,
  })
  books.object = object
  return object
end

local class_mt = {
  __call = function(class, ...)
    local object = new_object(class)
    object:init(...)
    return object
  end,
  __tostring = function(class)
    return "class " .. class.class_name
  end,
}

local function make_class(name, parent)
  local class = { class_name = name, super = parent }
  return setmetatable(class, { __index = parent, __call = class_mt.__call,
    __tostring = class_mt.__tostring })
end

--- Makes a class: Net = nn.Module:extend "Net", with methods init and forward; Net(...) constructs.
---@param name string
---@return table
function Module:extend(name)
  options.check("extend", { "name", nil, "string" }, name)
  return make_class(name, self)
end

-- Walking ---------------------------------------------------------------------------------------------

--- Calls fn(name, child) for each child, in order.
local function each_child(self, fn)
  local books = own_books(self)
  if books.class.each_element then
    books.class.each_element(self, books, fn)
  end
  for _, name in ipairs(books.order) do
    if books.kinds[name] == "child" then
      fn(name, books.values[name])
    end
  end
end

--- Calls fn(prefix, module) for the module and all below it, parents first; prefix ends with ".".
function each_module(self, fn, prefix)
  prefix = prefix or ""
  for name, v in pairs(own_books(self).values) do
    if type(v) == "table" and getmetatable(v) == nil then
      check_plain_table(self, name, v)
    end
  end
  fn(prefix, self)
  each_child(self, function(name, child)
    each_module(child, fn, prefix .. name .. ".")
  end)
end

--- Lists {name, tensor} of a kind, each tensor once.
local function tensors_of(self, kind, all)
  local list, seen = {}, {}
  each_module(self, function(prefix, module)
    local books = books_of(module)
    for _, name in ipairs(books.order) do
      local v = books.values[name]
      if books.kinds[name] == kind and (all or not seen[v]) then
        seen[v] = true
        list[#list + 1] = { prefix .. name, v, module, name }
      end
    end
  end)
  return list
end

local function modules_of(self)
  local list, seen = {}, {}
  each_module(self, function(prefix, module)
    if not seen[module] then
      seen[module] = true
      list[#list + 1] = { prefix:sub(1, -2), module }
    end
  end)
  return list
end

local function seconds(list)
  local values = {}
  for i, entry in ipairs(list) do
    values[i] = entry[2]
  end
  return values
end

local function iterate(list)
  local i = 0
  return function()
    i = i + 1
    local entry = list[i]
    if entry then
      return entry[1], entry[2]
    end
  end
end

local function children_of(self)
  local list = {}
  each_child(self, function(name, child)
    list[#list + 1] = { name, child }
  end)
  return list
end

--- The parameters of the module and all below it, each once, in order of assignment.
---@return mascon.Tensor[]
function Module:parameters()
  return seconds(tensors_of(self, "parameter"))
end

--- for name, p in net:named_parameters() do … end
function Module:named_parameters()
  return iterate(tensors_of(self, "parameter"))
end

---@return mascon.Tensor[]
function Module:buffers()
  return seconds(tensors_of(self, "buffer"))
end

function Module:named_buffers()
  return iterate(tensors_of(self, "buffer"))
end

---@return mascon.nn.Module[]
function Module:children()
  return seconds(children_of(self))
end

function Module:named_children()
  return iterate(children_of(self))
end

--- The module itself (its name is "") and all below it, parents first.
---@return mascon.nn.Module[]
function Module:modules()
  return seconds(modules_of(self))
end

function Module:named_modules()
  return iterate(modules_of(self))
end

--- The name of a module that runs inside this one, for error messages.
---@return string?
function Module:child_name(child)
  for _, entry in ipairs(modules_of(self)) do
    if entry[2] == child and child ~= self then
      return entry[1]
    end
  end
end

--- The number of elements of all parameters.
---@param given? table trainable = true counts only those that require a gradient
---@return integer
function Module:num_parameters(given)
  local read = options.read("num_parameters", given, { { "trainable", false, "boolean" } })
  own_books(self)
  local count = 0
  for _, p in ipairs(self:parameters()) do
    if not read.trainable or p.requires_grad then
      count = count + p:numel()
    end
  end
  return count
end

--- A table of the modules with output shapes, parameters and memory for a batch of the given sizes:
--- print(net:summary{1, 3, 32, 32}).
---@param sizes integer[]|mascon.Tensor|table several inputs: a list of sizes or tensors
---@param given? table dtype
---@return mascon.nn.Summary
function Module:summary(sizes, given)
  own_books(self)
  return require("mascon.nn.summary").make(self, sizes, given)
end

-- Buffers and state -----------------------------------------------------------------------------------

--- Makes a tensor part of the module's state without being a parameter.
---@param name string
---@param t mascon.Tensor
---@param given? table persistent = true: belongs to the state dict
function Module:register_buffer(name, t, given)
  own_books(self)
  options.check("register_buffer", { "name", nil, "string" }, name)
  local read = options.read("register_buffer", given, { { "persistent", true, "boolean" } })
  if not is_tensor(t) then
    options.fail("register_buffer", ("%s is %s; expected a tensor"):format(name, options.show(t)))
  end
  local books = books_of(self)
  track(books, name, "buffer", autograd.keep(t))
  books.persistent[name] = read.persistent
end

--- Lists {name, tensor, …} of what a state dict holds, in its order.
local function state_entries(self)
  local list = {}
  each_module(self, function(prefix, module)
    local books = books_of(module)
    for _, kind in ipairs { "parameter", "buffer" } do
      for _, name in ipairs(books.order) do
        if books.kinds[name] == kind and (kind == "parameter" or books.persistent[name] ~= false) then
          list[#list + 1] = { prefix .. name, books.values[name] }
        end
      end
    end
  end)
  return list
end

--- Parameters and persistent buffers by name ("conv_block_1.0.weight"); the tensors share the module's
--- memory. Saved in the module's order.
---@return table<string, mascon.Tensor>
function Module:state_dict()
  return state.make(state_entries(self))
end

--- Copies the tensors of a state dict into this module's, which keep their dtype and device. Nothing is
--- changed when names or shapes do not fit.
---@param sd table<string, mascon.Tensor>
---@param given? table strict = true; strip: prefix to take off the names; except: list of names, or
---  of modules by name, to leave alone
---@return table report {missing = {names}, unexpected = {names}, different = {names}}: the last have
---  another shape
function Module:load_state_dict(sd, given)
  own_books(self)
  if type(sd) ~= "table" or is_module(sd) then
    options.fail("load_state_dict", ("argument 1 is %s; expected a table of tensors by name")
      :format(is_module(sd) and "a module" or options.show(sd)))
  end
  return state.load(state_entries(self), sd, given)
end

-- Modes and conversions -------------------------------------------------------------------------------

--- Reads an argument that is true where it is left out.
local function switch(name, on)
  if on ~= nil then
    options.check(name, { "argument 1", nil, "boolean" }, on)
  end
  return on ~= false
end

--- Switches to training (dropout drops, batch norm uses the batch), or to evaluation with false.
---@param on? boolean
function Module:train(on)
  own_books(self)
  on = switch("train", on)
  for _, module in ipairs(self:modules()) do
    module.training = on
  end
  return self
end

--- Switches to evaluation.
function Module:eval()
  own_books(self)
  return self:train(false)
end

--- Whether the parameters take part in training.
---@param on? boolean
function Module:requires_grad_(on)
  own_books(self)
  on = switch("requires_grad_", on)
  for _, p in ipairs(self:parameters()) do
    p:requires_grad_(on)
  end
  if on then
    for _, module in ipairs(self:modules()) do
      module.frozen = false
    end
  end
  return self
end

--- requires_grad_(false), and running statistics hold still too.
function Module:freeze()
  own_books(self)
  self:requires_grad_(false)
  for _, module in ipairs(self:modules()) do
    module.frozen = true
  end
  return self
end

--- Forgets the gradients of all parameters.
function Module:zero_grad(given)
  options.read("zero_grad", given, {})
  own_books(self)
  for _, p in ipairs(self:parameters()) do
    p.grad = nil
  end
end

--- Calls fn(module) for every module below and then for this one.
---@param fn fun(module: mascon.nn.Module)
function Module:apply(fn)
  own_books(self)
  options.check("apply", { "argument 1", nil, "function" }, fn)
  local list = {}
  local function walk(module)
    each_child(module, function(_, child)
      walk(child)
    end)
    list[#list + 1] = module
  end
  walk(self)
  for _, module in ipairs(list) do
    fn(module)
  end
  return self
end

local function is_floating(t)
  return t.dtype:match "float" ~= nil
end

--- Gives p the contents of q. The handles change places, so that whoever holds p (an optimizer, a tied
--- layer) sees the new ones.
local function become(p, q)
  p.h, q.h = q.h, p.h
  recording.changed()
end

--- Moves parameters and buffers to a device and/or converts the floating ones to a dtype, in place.
---@param ... string|mascon.Tensor
function Module:to(...)
  own_books(self)
  local targets = { ... }
  local function convert(t)
    local q = t
    for _, target in ipairs(targets) do
      if is_tensor(target) then
        q = q:to(target.device)
        q = is_floating(q) and q:to(target.dtype) or q
      elseif is_floating(q) or type(target) ~= "string" or target:match "^c[pu]" then
        q = q:to(target) -- dtypes are for floating tensors alone
      end
    end
    return q
  end
  if #targets == 0 then
    options.fail("to", "argument 1 is missing: expected a device or a dtype")
  end
  for _, target in ipairs(targets) do
    if target == "int64" or target == "int32" or target == "uint8" or target == "bool" then
      options.fail("to", ("dtype %s is not floating; the parameters of a module are"):format(target))
    end
  end
  for _, kind in ipairs { "parameter", "buffer" } do
    for _, entry in ipairs(tensors_of(self, kind)) do
      local p = entry[2]
      local grad, q = p.grad, convert(p:detach())
      if q.dtype ~= p.dtype or q.device ~= p.device then
        q:requires_grad_(p.requires_grad)
        become(p, q)
        if grad then
          p.grad = convert(grad)
        end
      end
    end
  end
  return self
end

function Module:cpu()
  own_books(self)
  return self:to "cpu"
end

function Module:cuda()
  own_books(self)
  return self:to "cuda"
end

--- A deep copy with parameters and buffers of its own; what was tied stays tied.
---@return mascon.nn.Module
function Module:clone()
  own_books(self)
  local copies = {}
  local copy

  local function copy_tensor(t)
    local c = copies[t]
    if not c then
      c = autograd.keep(t:detach():clone())
      if t.requires_grad and t.is_leaf then
        c:requires_grad_(true)
      end
      parameters[c] = parameters[t]
      copies[t] = c
    end
    return c
  end

  function copy(v)
    if is_tensor(v) then
      return copy_tensor(v)
    elseif type(v) ~= "table" or (getmetatable(v) ~= nil and not is_module(v)) then
      return v
    elseif copies[v] then
      return copies[v]
    elseif not is_module(v) then
      local t = {}
      copies[v] = t
      for k, item in pairs(v) do
        t[copy(k)] = copy(item)
      end
      return t
    end
    local from = books_of(v)
    local object = new_object(from.class)
    copies[v] = object
    local to = books_of(object)
    for i, name in ipairs(from.order) do
      to.order[i] = name
    end
    for name, kind in pairs(from.kinds) do
      to.kinds[name] = kind
    end
    for name, on in pairs(from.persistent) do
      to.persistent[name] = on
    end
    to.names, to.positions = from.names and copy(from.names), from.positions and copy(from.positions)
    for name, item in pairs(from.values) do
      to.values[name] = copy(item)
    end
    for i, item in ipairs(v) do
      rawset(object, i, copy(item))
    end
    return object
  end

  return autograd.no_grad(copy, self)
end

-- Text ------------------------------------------------------------------------------------------------

--- What stands in the parentheses of the printed module; layers have their own.
---@return string
function Module:extra_repr()
  return ""
end

--- The printed form: the class, its options, and its children one below the other.
function Module:describe()
  local lines = {}
  each_child(self, function(name, child)
    lines[#lines + 1] = ("  (%s): %s"):format(name, (tostring(child):gsub("\n", "\n  ")))
  end)
  local extra = self:extra_repr()
  if #lines == 0 then
    return ("%s(%s)"):format(self.class_name, extra)
  end
  if extra ~= "" then
    table.insert(lines, 1, "  " .. extra)
  end
  return ("%s(\n%s\n)"):format(self.class_name, table.concat(lines, "\n"))
end

setmetatable(Module, { __call = class_mt.__call, __tostring = class_mt.__tostring })

return {
  Module = Module,
  Parameter = Parameter,
  is_module = is_module,
  books_of = books_of,
}
