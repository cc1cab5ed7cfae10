--- Containers: Sequential and ModuleList.
-- Their children lie in the array part of the object, so that #seq, seq[i] and ipairs work; in names they
-- count from 0 (or have names of their own), as in PyTorch.

local layer = require "mascon.ffi"
local module = require "mascon.nn.module"
local options = require "mascon.options"

local is_tensor, state = layer.is_tensor, layer.state
local is_module, books_of = module.is_module, module.books_of
local band = bit.band

local GRAD = 1 -- ORDER: the flags of mascon_call

-- What both share ---------------------------------------------------------------------------------------

local Container = module.Module:extend "Container"

--- The name of element i in state dicts.
local function name_of(books, i)
  return books.names and books.names[i] or tostring(i - 1)
end

local function check_element(self, i, v)
  if is_module(v) then
    return v
  end
  options.fail(self.class_name, ("element %d is %s; expected a module"):format(i, options.show(v)))
end

function Container.each_element(self, books, fn)
  for i = 1, #self do
    fn(name_of(books, i), check_element(self, i, rawget(self, i)))
  end
end

--- seq.conv, where the element has a name of its own.
function Container.lookup(books, name)
  local i = books.positions and books.positions[name]
  return i and rawget(books.object, i) or nil
end

function Container.assigned(self, books, name, v)
  if type(name) == "number" then
    if name ~= #self + 1 then
      options.fail(self.class_name, ("element %s cannot be set; there are %d elements"):format(
        options.show(name), #self))
    end
    rawset(self, name, check_element(self, name, v))
    return true
  end
  local i = books.positions and books.positions[name]
  if i then
    rawset(self, i, check_element(self, i, v))
    return true
  end
  return false
end

local function add(self, name, v)
  local i = #self + 1
  rawset(self, i, check_element(self, i, v))
  if name then
    local books = books_of(self)
    books.names, books.positions = books.names or {}, books.positions or {}
    books.names[i], books.positions[name] = name, i
  end
end

--- The elements of f(a, b), f{a, b} and f{{"name", a}, {"name", b}}.
local function elements(self, ...)
  local n, first = select("#", ...), (...)
  local list = { ... }
  if n == 1 and type(first) == "table" and getmetatable(first) == nil then
    list = first
    n = table.maxn(first)
    for key in pairs(first) do
      if type(key) ~= "number" then
        options.fail(self.class_name, ("%s is a name; expected a list"):format(options.show(key)),
          ('names go with the elements, in order: {{"%s", module}, ...}'):format(tostring(key)))
      end
    end
  end
  for i = 1, n do
    local v = list[i]
    if type(v) == "table" and getmetatable(v) == nil and type(v[1]) == "string" then
      if v[1]:find(".", 1, true) or v[1] == "" then
        options.fail(self.class_name, ('name %s of element %d cannot be used'):format(
          options.show(v[1]), i))
      end
      add(self, v[1], v[2])
    else
      add(self, nil, v)
    end
  end
end

function Container:init(...)
  elements(self, ...)
end

--- Adds a module at the end.
function Container:append(v)
  add(self, nil, v)
  return self
end

--- Number of elements.
function Container:len()
  return #self
end

-- Sequential -----------------------------------------------------------------------------------------

---@class mascon.nn.Sequential: mascon.nn.Module
local Sequential = Container:extend "Sequential"

--- Whether a module neither keeps its input nor its output anywhere, so that its input can be released
--- once its output is there. Classes of mascon say so; hooks and modules of scripts may keep anything.
local function keeps_nothing(m)
  local books = books_of(m)
  if books.hooks then
    return false
  elseif books.class == Sequential and rawget(books.values, "forward") == nil then
    for i = 1, #m do
      if not keeps_nothing(m[i]) then
        return false
      end
    end
    return true
  end
  -- a class derived in a script, or an object with a forward of its own, promises nothing
  return rawget(books.class, "keeps_nothing") == true and rawget(books.values, "forward") == nil
end

--- Whether nothing of y's making was recorded, so that nothing else needs its input.
local function unrecorded(y)
  return band(state.flags, GRAD) == 0 or not y.requires_grad
end

--- Runs the children one after the other. Where nothing is recorded, what lies between two of them is
--- released as soon as the next result is there.
function Sequential:forward(x)
  local ours = false -- whether x was made here and is known to nobody else
  for i = 1, #self do
    local child = self[i]
    local y = child(x)
    local free = is_tensor(y) and unrecorded(y) and keeps_nothing(child)
    if not (free and is_tensor(x) and y == x) then
      if ours and free then
        x:release()
      end
      ours = free
    end
    x = y
  end
  return x
end

-- ModuleList -----------------------------------------------------------------------------------------

---@class mascon.nn.ModuleList: mascon.nn.Module
local ModuleList = Container:extend "ModuleList"

function ModuleList:forward()
  options.fail("ModuleList", "it is a list and computes nothing",
    "for _, m in ipairs(list) do x = m(x) end")
end

return { Sequential = Sequential, ModuleList = ModuleList }
