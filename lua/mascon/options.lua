--- Checks of arguments and options, shared by every class and function of mascon.
-- One form of error everywhere: "prefix: what is wrong" at the user's line, then a hint.

local layer = require "mascon.ffi"
local raise = require "mascon.raise"

local M = {}

--- Raises "prefix: message" at the user's line.
---@param prefix string the function or class as the user wrote it
---@param message string
---@param hint? string
function M.fail(prefix, message, hint)
  raise.raise(prefix, message, nil, hint)
end

--- Raises the error for a method that was called without its object (D45).
---@param what string "a module", "an optimizer"
function M.no_object(what)
  M.fail(raise.called_name() or "", ("argument 1 is missing: expected %s"):format(what),
    'called with "." instead of ":"?')
end

local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

--- The name nearest to `name` among `names`, or nil when none is near.
---@param name string
---@param names string[]
---@return string?
function M.nearest(name, names)
  local best, best_distance
  for _, candidate in ipairs(names) do
    local d = distance(name:lower(), candidate:lower())
    if candidate:lower():find(name:lower(), 1, true) then
      d = math.min(d, 1)
    end
    if not best or d < best_distance then
      best, best_distance = candidate, d
    end
  end
  if best and best_distance <= math.max(1, math.floor(#name / 2)) then
    return best
  end
end

--- Raises the error for an option that does not exist (D9).
---@param prefix string
---@param name any
---@param names string[] the valid ones
function M.unknown(prefix, name, names)
  table.sort(names)
  local nearest = type(name) == "string" and M.nearest(name, names)
  local list = "options: " .. table.concat(names, ", ")
  if #names == 0 then
    list = "it takes no options"
  end
  M.fail(prefix, ('unknown option "%s"'):format(tostring(name)),
    nearest and ('did you mean "%s"? %s'):format(nearest, list) or list)
end

local function is_callable(v)
  if type(v) == "function" then
    return true
  end
  local mt = getmetatable(v)
  return type(mt) == "table" and mt.__call ~= nil
end

local function whole(v)
  return type(v) == "number" and v == math.floor(v) and math.abs(v) < 2 ^ 53
end

local checks = {
  number = function(v) return type(v) == "number", "a number" end,
  integer = function(v) return whole(v), "a whole number" end,
  boolean = function(v) return type(v) == "boolean", "true or false" end,
  string = function(v) return type(v) == "string", "a string" end,
  table = function(v) return type(v) == "table", "a table" end,
  ["function"] = function(v) return is_callable(v), "a function" end,
  any = function() return true end,
}

--- A value for a message: strings in quotes, tables and functions by kind.
function M.show(v)
  if type(v) == "string" then
    return ('"%s"'):format((v:gsub("%c", function(c) return ("\\%d"):format(c:byte()) end)))
  elseif type(v) == "number" then
    if v ~= v then
      return "nan"
    end
    return ("%.14g"):format(v)
  elseif type(v) == "boolean" or v == nil then
    return tostring(v)
  elseif layer.is_tensor(v) then
    return "a tensor"
  end
  return "a " .. type(v)
end

--- Lets a part's table answer a name that it does not have with an error that says which is nearest.
---@param prefix string the part, as the user writes it
---@param t table
function M.name_nearest(prefix, t)
  return setmetatable(t, {
    __index = function(_, name)
      if type(name) ~= "string" or name:sub(1, 1) == "_" then
        return nil
      end
      local names = {}
      for known in pairs(t) do
        names[#names + 1] = known
      end
      local nearest = M.nearest(name, names)
      M.fail(prefix, ("there is no %s.%s"):format(prefix, name),
        nearest and ("did you mean %s.%s?"):format(prefix, nearest) or nil)
    end,
  })
end

local function check_range(prefix, field, v)
  local name, low, high = field[1], field.min, field.max
  if field.cap and v > field.cap then
    M.fail(prefix, ("%s is %s; must be at most %s"):format(name, M.show(v), field.cap))
  end
  if low and high and not (v >= low and v <= high) then
    M.fail(prefix, ("%s is %s; must be in [%s, %s]"):format(name, M.show(v), low, high))
  elseif low and not (v >= low) then -- luacheck: ignore 581 (NaN)
    M.fail(prefix, ("%s is %s; must be %s or more"):format(name, M.show(v), low))
  elseif high and not (v <= high) then -- luacheck: ignore 581 (NaN)
    M.fail(prefix, ("%s is %s; must be at most %s"):format(name, M.show(v), high))
  end
end

local function check_choice(prefix, field, v)
  for _, choice in ipairs(field.choices) do
    if choice == v then
      return
    end
  end
  M.fail(prefix, ("%s is %s; expected one of %s"):format(field[1], M.show(v),
    table.concat(field.choices, ", ")))
end

--- Checks one value against a field {name, default, type, min =, max =, cap =, choices =}. min and max
-- are the meaning of an option and named together; cap is a limit against absurd values.
function M.check(prefix, field, v)
  local kind = field[3] or "any"
  local expected
  for name in kind:gmatch("[^|]+") do
    local good, what = checks[name](v)
    if good then
      expected = nil
      break
    end
    expected = expected and (expected .. " or " .. what) or what
  end
  if expected then
    if type(v) == "number" and kind == "integer" or type(v) == "number" and v ~= v then
      M.fail(prefix, ("%s is %s; expected %s"):format(field[1], M.show(v), expected))
    end
    local found = (type(v) == "string" or type(v) == "cdata") and M.show(v) or "a " .. type(v)
    M.fail(prefix, ("%s is %s; expected %s"):format(field[1], found, expected))
  end
  if type(v) == "number" then
    check_range(prefix, field, v)
  end
  if field.choices then
    check_choice(prefix, field, v)
  end
end

M.required = setmetatable({}, { __tostring = function() return "required" end })

local asked = false -- whether the next specification is wanted, and not values

--- The specification of the options of a function or class of mascon: calls it until it reads its
--- options, which is the first thing it does. Nothing is made.
---@param fn function
---@param ... any arguments that stand before the options
---@return table? spec
---@return boolean? positional whether options may stand by position
function M.specification(fn, ...)
  asked = true
  local good, answer = pcall(fn, ...)
  asked = false
  if not good and type(answer) == "table" and answer.specification then
    return answer.specification, answer.positional
  end
end

--- Reads a table of options against a specification, in the order of the specification.
---@param prefix string class or function name for messages
---@param given table? what the user passed; only string keys are looked at
---@param spec table list of {name, default, type, min =, max =, choices =}; a default of
---  `options.required` makes the option obligatory, a type may name several kinds ("number|table")
---@return table values by name
function M.read(prefix, given, spec)
  if asked then
    error({ specification = spec }, 0)
  end
  local values = {}
  if given ~= nil and type(given) ~= "table" then
    M.fail(prefix, ("options are a %s; expected a table"):format(type(given)))
  end
  local known = {}
  for _, field in ipairs(spec) do
    local name = field[1]
    known[name] = true
    local v = given and given[name]
    if v == nil then
      if field[2] == M.required then
        M.fail(prefix, ("%s is missing"):format(name))
      end
      values[name] = field[2]
    else
      M.check(prefix, field, v)
      values[name] = v
    end
  end
  for key in pairs(given or {}) do
    if type(key) == "string" and not known[key] then
      local names = {}
      for _, field in ipairs(spec) do
        names[#names + 1] = field[1]
      end
      M.unknown(prefix, key, names)
    end
  end
  return values
end

--- Reads arguments that may stand by position, in a trailing table of options, or all by name in one
--- table: f(3, 32, {padding = 1}), f(3, 32, 3) and f{in_channels = 3, ...} are the same.
---@param prefix string
---@param spec table as for read; positional arguments follow its order
---@param ... any what the user passed
---@return table values by name
function M.arguments(prefix, spec, ...)
  if asked then
    error({ specification = spec, positional = true }, 0)
  end
  local n = select("#", ...)
  local args = { ... }
  local given = {}
  local last = args[n]
  local is_options = n > 0 and type(last) == "table" and getmetatable(last) == nil
    and (next(last) == nil or type(next(last)) == "string")
  if is_options then
    for k, v in pairs(last) do
      given[k] = v
    end
    n = n - 1
  elseif n == 1 and type(last) == "table" and getmetatable(last) == nil then
    for k, v in pairs(last) do -- array part by position, names as options
      if type(k) == "number" then
        args[k] = v
        n = math.max(n, k)
      else
        given[k] = v
      end
    end
  end
  if n > #spec then
    M.fail(prefix, ("%d arguments given; at most %d are taken"):format(n, #spec))
  end
  for i = 1, n do
    local name = spec[i][1]
    if given[name] ~= nil then
      M.fail(prefix, ("%s is given by position and by name"):format(name))
    end
    given[name] = args[i]
  end
  return M.read(prefix, given, spec)
end

--- Reads sizes: one table or plain numbers, whole and not negative (D1, D4-D8).
---@param prefix string
---@param what string name of the argument, for messages
---@param sizes any a table of whole numbers
---@return integer[] a list
function M.sizes(prefix, what, sizes)
  if type(sizes) ~= "table" then
    M.fail(prefix, ("argument 1 (%s) is %s; expected a table of whole numbers such as {2, 3}")
      :format(what, sizes == nil and "nil" or "a " .. type(sizes)))
  end
  local n = 0
  for k in pairs(sizes) do
    if type(k) == "number" and k > n then
      n = k
    end
  end
  local list = {}
  for i = 1, n do
    local v = sizes[i]
    if v == nil then
      M.fail(prefix, ("%s has a hole at position %d"):format(what, i))
    elseif type(v) ~= "number" then
      M.fail(prefix, ("size of dimension %d is a %s; expected a whole number"):format(i, type(v)))
    elseif not whole(v) and not (v == math.floor(v) and math.abs(v) < math.huge) then
      M.fail(prefix, ("size of dimension %d is %s; expected a whole number"):format(i, M.show(v)))
    elseif v < 0 then
      M.fail(prefix, ("size of dimension %d is %s; sizes must be 0 or more"):format(i, M.show(v)))
    end
    list[i] = v
  end
  if n > 8 then
    M.fail(prefix, ("%d dimensions; at most 8 are supported"):format(n))
  end
  return list
end

return M
