--- mascon.plot: figures, saved through gnuplot (.svg, .png, .pdf) or drawn with characters.
-- A figure is a description; nothing runs before save, text or show.

local figure = require "mascon.plot.figure"
local layer = require "mascon.ffi"
local options = require "mascon.options"

local M = {}

--- A list of numbers from a Lua list or a tensor {n}.
local function numbers(name, what, v)
  if layer.is_tensor(v) then
    if v:dim() ~= 1 then
      options.fail(name, ("%s is {%s}; expected {n}"):format(what, table.concat(v.shape, ", ")))
    end
    v = v:totable()
  elseif type(v) ~= "table" then
    options.fail(name, ("%s is %s; expected a list of numbers"):format(what, options.show(v)))
  end
  for i, item in ipairs(v) do
    if type(item) ~= "number" then
      options.fail(name, ("value %d of %s is %s; expected a number"):format(i, what,
        options.show(item)))
    end
  end
  if #v == 0 then
    options.fail(name, ("%s has no values"):format(what))
  end
  return v
end

--- Series as a list {name =, y =}: from {name = list, …} in the order of the names, from
--- {{"name", list}, …} in the order given, or from one list.
local function read_series(name, given)
  if layer.is_tensor(given) or type(given) == "table" and type(given[1]) == "number" then
    return { { y = numbers(name, "series 1", given) } }
  elseif type(given) ~= "table" then
    options.fail(name, ("argument 1 is %s; expected series, such as {train = {...}}"):format(
      options.show(given)))
  end
  local list, names = {}, {}
  for i, item in ipairs(given) do
    if layer.is_tensor(item) or type(item) == "table" and type(item[1]) ~= "string" then
      list[i] = { y = numbers(name, "series " .. i, item) }
    elseif type(item) == "table" then
      list[i] = { name = item[1], y = numbers(name, item[1], item[2]) }
    else
      options.fail(name, ('series %d is %s; expected {"name", {numbers}}'):format(i,
        options.show(item)))
    end
  end
  for key in pairs(given) do
    if type(key) == "string" then
      names[#names + 1] = key
    end
  end
  table.sort(names)
  for _, key in ipairs(names) do
    list[#list + 1] = { name = key, y = numbers(name, key, given[key]) }
  end
  if #list == 0 then
    options.fail(name, "no series given")
  end
  return list
end

--- Lines: plot.lines({train = {…}, validation = {…}}, {title =, xlabel =, ylabel =, x =}).
---@param series table {name = list, …}, {{"name", list}, …} to fix the order, or one list
---@param given? table title, xlabel, ylabel, x (a list of positions; 1, 2, … otherwise), width, height
---@return mascon.plot.Figure
function M.lines(series, given)
  local o = options.read("lines", given, {
    { "title", nil, "string" }, { "xlabel", nil, "string" }, { "ylabel", nil, "string" },
    { "x", nil, "any" }, { "width", 600, "number", min = 100 }, { "height", 400, "number", min = 100 },
  })
  local list = read_series("lines", series)
  local x = o.x ~= nil and numbers("lines", "x", o.x)
  for i, s in ipairs(list) do
    if x and #x ~= #s.y then
      options.fail("lines", ("series %s has %d values, x has %d"):format(s.name or i, #s.y, #x))
    end
    s.x = x or {}
    for j = 1, x and 0 or #s.y do
      s.x[j] = j
    end
  end
  return figure.new { kind = "lines", series = list, title = o.title, xlabel = o.xlabel,
    ylabel = o.ylabel, width = o.width, height = o.height }
end

--- Several figures in one picture, side by side: plot.grid({a, b}, {title =, columns =}).
---@param figures mascon.plot.Figure[]
---@param given? table title, columns (all in one row otherwise)
---@return mascon.plot.Figure
function M.grid(figures, given)
  local list = type(figures) == "table" and figures or {}
  local o = options.read("grid", given or list, {
    { "title", nil, "string" }, { "columns", nil, "integer", min = 1 },
  })
  if #list == 0 then
    options.fail("grid", "argument 1 is missing: expected a list of figures, such as {a, b}")
  end
  local columns = math.min(o.columns or #list, #list)
  local width, height, panels = 0, 0, {}
  for i, f in ipairs(list) do
    if not figure.is_figure(f) or f.kind == "grid" then
      options.fail("grid", ("element %d is %s; expected a single figure"):format(i,
        f and figure.is_figure(f) and "a grid" or options.show(f)))
    end
    panels[i] = f
    width, height = math.max(width, f.width), math.max(height, f.height)
  end
  local rows = math.ceil(#list / columns)
  return figure.new { kind = "grid", panels = panels, columns = columns, rows = rows, title = o.title,
    width = width * columns, height = height * rows + (o.title and 40 or 0) }
end

return M
