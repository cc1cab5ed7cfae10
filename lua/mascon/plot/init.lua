--- mascon.plot: figures, saved through gnuplot (.svg, .png, .pdf) or drawn with characters.
-- A figure is a description; nothing runs before save, text or show.

local figure = require "mascon.plot.figure"
local layer = require "mascon.ffi"
local options = require "mascon.options"
local range = require "mascon.plot.range"
local read = require "mascon.plot.read"

local M = {}

local numbers = read.numbers

--- Options that all kinds have, and those of one kind.
local function spec_of(width, height, more)
  local spec = {
    { "title", nil, "string" }, { "xlabel", nil, "string" }, { "ylabel", nil, "string" },
    { "width", width, "number", min = 100, cap = 20000 },
    { "height", height, "number", min = 100, cap = 20000 },
  }
  for _, field in ipairs(more or {}) do
    spec[#spec + 1] = field
  end
  return spec
end

local function make(kind, o, fields)
  for _, name in ipairs { "title", "xlabel", "ylabel" } do
    fields[name] = o[name]
  end
  fields.kind, fields.width, fields.height = kind, fields.width or o.width, fields.height or o.height
  return figure.new(fields)
end

--- Lines: plot.lines({train = {…}, validation = {…}}, {title =, xlabel =, ylabel =, x =}).
---@param series table {name = list, …}, {{"name", list}, …} to fix the order, or one list
---@param given? table title, xlabel, ylabel, x (a list of positions; 1, 2, … otherwise), width, height
---@return mascon.plot.Figure
function M.lines(series, given)
  local o = options.read("lines", given, spec_of(600, 400, { { "x", nil, "any" } }))
  local list = read.series("lines", series)
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
  return make("lines", o, { series = list })
end

--- Points of a scatter plot, in one group or in one for each label.
local function grouped(x, y, labels, names)
  local groups, list = {}, {}
  for i = 1, #x do
    local key = labels and labels[i] or 0
    if not groups[key] then
      groups[key] = { key = key, name = labels and (names and names[key] or tostring(key)) or nil,
        x = {}, y = {} }
      list[#list + 1] = groups[key]
    end
    local s = groups[key]
    s.x[#s.x + 1], s.y[#s.y + 1] = x[i], y[i]
  end
  table.sort(list, function(a, b) return a.key < b.key end)
  return list
end

local function scatter_of(o, series)
  local beside = #series > 5 and 140 or 0 -- many names stand beside the axes
  return make("scatter", o, { series = series, width = o.width or 520 + beside })
end

--- Points: plot.scatter(x, y, {labels = classes of the points, names = class names, title = …}), or
--- plot.scatter({{"name", x, y}, …}, {title = …}).
---@param x mascon.Tensor|number[]|table
---@param y? mascon.Tensor|number[]
---@param given? table labels (a class number or text for each point), names (of classes), title, xlabel,
---  ylabel, width, height
---@return mascon.plot.Figure
function M.scatter(x, y, given)
  local groups = type(x) == "table" and type(x[1]) == "table" and x or nil
  if groups then
    given = given or y
  end
  local o = options.read("scatter", given, spec_of(nil, 480, {
    { "labels", nil, "any" }, { "names", nil, "table" },
  }))
  if groups then
    local list = {}
    if o.labels or o.names then
      options.fail("scatter", "labels and names go with plot.scatter(x, y, ...)")
    end
    for i, group in ipairs(groups) do
      if type(group) ~= "table" or type(group[1]) ~= "string" then
        options.fail("scatter", ('group %d is %s; expected {"name", x, y}'):format(i, options.show(group)))
      end
      list[i] = { name = group[1], x = numbers("scatter", "x of " .. group[1], group[2]),
        y = numbers("scatter", "y of " .. group[1], group[3]) }
      if #list[i].x ~= #list[i].y then
        options.fail("scatter", ("x of %s has %d values, y has %d"):format(group[1], #list[i].x, #list[i].y))
      end
    end
    return scatter_of(o, list)
  end
  x, y = numbers("scatter", "x", x), numbers("scatter", "y", y)
  local labels = o.labels
  if layer.is_tensor(labels) then
    labels = numbers("scatter", "labels", labels)
  end
  if #x ~= #y then
    options.fail("scatter", ("x has %d values, y has %d"):format(#x, #y))
  elseif labels ~= nil and (type(labels) ~= "table" or #labels ~= #x) then
    options.fail("scatter", ("labels is %s; expected a list of %d"):format(
      type(labels) == "table" and ("a list of %d"):format(#labels) or options.show(labels), #x))
  end
  for i, v in ipairs(labels or {}) do
    if type(v) ~= type(labels[1]) or type(v) ~= "number" and type(v) ~= "string" then
      options.fail("scatter", ("label %d is %s; expected numbers or texts"):format(i, options.show(v)))
    end
  end
  return scatter_of(o, grouped(x, y, labels, o.names))
end

--- A histogram: plot.hist(values, {bins = 10, range = {low, high}, density = false, title = …}). Several
--- series as for plot.lines share their bins. Values that are not finite or outside of the range are not
--- counted.
---@param values table|mascon.Tensor
---@param given? table bins, range, density, title, xlabel, ylabel, width, height
---@return mascon.plot.Figure
function M.hist(values, given)
  local o = options.read("hist", given, spec_of(600, 400, {
    { "bins", 10, "integer", min = 1, cap = 10000 }, { "range", nil, "table" },
    { "density", false, "boolean" },
  }))
  if layer.is_tensor(values) and values:dim() ~= 1 then
    values = values:detach():reshape(-1)
  end
  local series = read.series("hist", values)
  local low, high = range.range(series, "y")
  if o.range then
    low, high = o.range[1], o.range[2]
    if #o.range ~= 2 or type(low) ~= "number" or type(high) ~= "number" or low ~= low or high ~= high
      or low >= high then
      options.fail("hist", "range is not {low, high} with low below high")
    end
  end
  low, high = low or 0, high or 1
  if low == high then
    low, high = low - 0.5, high + 0.5
  end
  for _, s in ipairs(series) do
    local counts, all = {}, 0
    for i = 1, o.bins do
      counts[i] = 0
    end
    for _, v in ipairs(s.y) do
      if v >= low and v <= high then -- the last bin has its right end
        local bin = math.min(o.bins, math.floor((v - low) / (high - low) * o.bins) + 1)
        counts[bin], all = counts[bin] + 1, all + 1
      end
    end
    for i = 1, o.density and all > 0 and o.bins or 0 do
      counts[i] = counts[i] / all / ((high - low) / o.bins)
    end
    s.counts = counts
  end
  return make("hist", o, { series = series, low = low, high = high, bins = o.bins })
end

--- "%d" for whole numbers, else two digits behind the point.
local function format_of(rows)
  for _, row in ipairs(rows) do
    for _, v in ipairs(row) do
      if range.is_finite(v) and v ~= math.floor(v) then
        return "%.2f"
      end
    end
  end
  return "%.0f"
end

--- A matrix as coloured cells, row 1 at the top: plot.heatmap(cm:values{normalize = "true"},
--- {xticks = classes, yticks = classes, annot = true, xlabel = "predicted", ylabel = "true"}).
---@param values mascon.Tensor|number[][]
---@param given? table xticks, yticks (names), annot (numbers in the cells), fmt ("%.2f"), vmin, vmax (ends
---  of the colours), title, xlabel, ylabel, width, height
---@return mascon.plot.Figure
function M.heatmap(values, given)
  local rows, columns = read.matrix("heatmap", values)
  local o = options.read("heatmap", given, spec_of(nil, nil, {
    { "xticks", nil, "table" }, { "yticks", nil, "table" }, { "annot", false, "boolean" },
    { "fmt", nil, "string" }, { "vmin", nil, "number" }, { "vmax", nil, "number" },
  }))
  local fmt = o.fmt or format_of(rows)
  if not pcall(string.format, fmt, 0.5) then
    options.fail("heatmap", ('fmt is "%s"; expected a format of one number, such as "%%.2f"'):format(fmt))
  end
  local low, high
  for _, row in ipairs(rows) do
    local a, b = range.range({ { v = row } }, "v")
    low, high = math.min(low or a or math.huge, a or math.huge), math.max(high or b or -math.huge,
      b or -math.huge)
  end
  if not low or low > high then
    low, high = 0, 1 -- no finite value at all
  end
  low, high = o.vmin or low, o.vmax or high
  if low > high then
    options.fail("heatmap", ("vmin %g is above vmax %g"):format(low, high))
  end
  local cell = math.max(o.annot and 52 or 14, math.min(60, 480 / math.max(#rows, columns)))
  return make("heatmap", o, {
    values = rows, rows = #rows, columns = columns, low = low, high = high, annot = o.annot, fmt = fmt,
    xticks = read.names("heatmap", "xticks", o.xticks, columns),
    yticks = read.names("heatmap", "yticks", o.yticks, #rows),
    width = o.width or math.min(2400, math.max(420, columns * cell + 220)),
    height = o.height or math.min(2400, math.max(300, #rows * math.min(cell, 46) + 150)),
  })
end

--- Pictures in rows: plot.images(X, {titles = {…}, rows = 3}). X is {N, C, H, W} with 1 or 3 channels,
--- uint8 (0..255) or floats (0..1, what lies outside is cut off), or a list of tensors {C, H, W}.
---@param X mascon.Tensor|mascon.Tensor[]
---@param given? table titles (one for each picture), rows, normalize (each picture from its smallest to
---  its largest value), title, width, height
---@return mascon.plot.Figure
function M.images(X, given)
  local o = options.read("images", given, spec_of(nil, nil, {
    { "titles", nil, "table" }, { "rows", nil, "integer", min = 1 }, { "normalize", false, "boolean" },
  }))
  local pictures = read.pictures("images", X, o.normalize, 256)
  local n = #pictures
  if n > 400 then
    options.fail("images", ("%d pictures; at most 400 fit into a figure"):format(n), "X[{{1, 100}}]")
  end
  local rows = math.min(o.rows or math.max(1, math.floor(math.sqrt(n / 1.5) + 0.5)), n)
  local columns = math.ceil(n / rows)
  rows = math.ceil(n / columns)
  local titles = read.names("images", "titles", o.titles, n)
  local cell, widest = 0, 1
  for _, p in ipairs(pictures) do
    cell, widest = math.max(cell, p.height / p.width), math.max(widest, p.width)
  end
  cell = math.min(cell, 4) -- of very high ones the width shrinks
  local unit = math.max(math.min(n <= 4 and 192 or 128, 1200 / columns), math.min(256, widest, 2000 / columns), 24)
  local gap, head = 0.08, 20 / unit
  local width = columns * (1 + gap) * unit + gap * unit
  local height = rows * (cell + gap + (titles and head or 0)) * unit + gap * unit
  return make("images", o, {
    pictures = pictures, rows = rows, columns = columns, titles = titles, cell = cell, gap = gap,
    head = head, unit = unit, width = o.width or math.floor(math.max(160, width + 40)),
    height = o.height or math.floor(math.max(120, height + (o.title and 70 or 40))),
  })
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

return options.name_nearest("plot", M)
