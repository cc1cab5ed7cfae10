--- Containers: Sequential and ModuleList.
-- Their children lie in the array part of the object, so that #seq, seq[i] and ipairs work; in names they
-- count from 0 (or have names of their own), as in PyTorch.

local fusion = require "mascon.nn.fusion"
local layer = require "mascon.ffi"
local module = require "mascon.nn.module"
local options = require "mascon.options"

local is_tensor = layer.is_tensor
local is_module, books_of = module.is_module, module.books_of

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
  local class = type(v) == "table" and v.class_name
  options.fail(self.class_name, ("element %d is %s; expected a module"):format(i,
    class and "the class " .. class or options.show(v)), class and ("%s(...) makes one"):format(class) or nil)
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
--- once its output is there. Classes of mascon say so: `keeps_nothing` is true, or "children" where that
--- holds if it holds for their children. Hooks and modules of scripts may keep anything.
local function keeps_nothing(m)
  local books = books_of(m)
  -- a class derived in a script, or an object with a forward of its own, promises nothing
  local promise = rawget(books.class, "keeps_nothing")
  if not promise or books.hooks or rawget(books.values, "forward") ~= nil then
    return false
  elseif promise == "children" then
    for i = 1, #m do
      if not keeps_nothing(m[i]) then
        return false
      end
    end
    for _, name in ipairs(books.order) do
      if books.kinds[name] == "child" and not keeps_nothing(books.values[name]) then
        return false
      end
    end
  end
  return true
end
Sequential.keeps_nothing = "children"

--- Releases x, the input of y, where it is no longer needed; `quiet`: what made y keeps nothing. What a
--- graph saved of x it holds by itself, so a step's memory does not wait for Lua's collector.
---@param ours boolean whether x was made by a step before and is known to nobody else
---@return boolean ours of y
local function settle(x, y, ours, quiet)
  local free = quiet and is_tensor(y)
  if free and is_tensor(x) and y == x then
    return ours
  end
  if ours and free then
    x:release()
  end
  return free
end

--- y = m(x), releasing x where it is no longer needed.
---@return any y
---@return boolean ours as for the next step
local function step(m, x, ours)
  local y = m(x)
  return y, settle(x, y, ours, keeps_nothing(m))
end

--- Runs the children one after the other, or several in one call where fusion knows how. What lies
--- between two of them is released as soon as the next result is there.
function Sequential:forward(x)
  local ours = false
  local steps = fusion.steps(self, books_of(self))
  local i, n = 1, #self
  while i <= n do
    local pattern, y = steps and steps[i], nil
    if pattern then
      y = pattern.run(x, self[i], self[i + 1], self[i + 2], self[i + 3], self[i + 4])
    end
    if y ~= nil then
      ours = settle(x, y, ours, true)
      x, i = y, i + #pattern
    else
      x, ours = step(self[i], x, ours)
      i = i + 1
    end
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

return { Sequential = Sequential, ModuleList = ModuleList, step = step }
