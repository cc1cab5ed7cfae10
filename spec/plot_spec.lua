-- Figures.
local mascon = require "mascon"
local plot = mascon.plot

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

local function has_gnuplot()
  local status = os.execute "command -v gnuplot >/dev/null 2>&1"
  return status == 0 or status == true
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local s = file:read "*a"
  file:close()
  return s
end

local curves = { { "train_loss", { 3, 2, 1.5, 1.25 } }, { "test_loss", { 3, 2.5, 2.25, 2.5 } } }

describe("a figure", function()
  it("is saved as svg, png and pdf", function()
    if not has_gnuplot() then
      pending "gnuplot is not installed"
      return
    end
    local path = os.tmpname()
    local figure = plot.grid({
      plot.lines(curves, { title = "Loss of `it's` $HOME", xlabel = "Epochs", ylabel = "a_b" }),
      plot.lines(curves, { x = { 0.5, 1, 2, 4 } }),
    }, { title = "both" })
    local begins = { svg = "<?xml", png = "\137PNG", pdf = "%PDF" }
    for ending, first in pairs(begins) do
      local name = path .. "." .. ending
      assert.equal(figure, figure:save(name))
      assert.equal(first, read(name):sub(1, #first))
      if ending == "svg" then
        local svg = read(name)
        assert.truthy(svg:find("train_loss", 1, true))
        assert.truthy(svg:find("$HOME", 1, true))
        assert.truthy(svg:find("a_b", 1, true))
      end
      os.remove(name)
    end
    os.remove(path)
  end)

  it("is saved with one value, equal values and values that are not finite", function()
    if not has_gnuplot() then
      pending "gnuplot is not installed"
      return
    end
    local path = os.tmpname() .. ".svg"
    for _, values in ipairs { { 1 }, { 2, 2, 2 }, { 0, 0 }, { 0 / 0, 1 / 0 }, { 1, 0 / 0, 3 } } do
      plot.lines({ { "a", values } }):save(path)
      assert.truthy(read(path):find("</svg>", 1, true))
    end
    -- the line has a gap where a value is missing; one more part is the line beside its name
    local function parts(values)
      plot.lines({ { "a", values } }):save(path)
      local line = read(path):match "gnuplot_plot_1.-<path[^>]- d='([^']+)'"
      return select(2, line:gsub("M", ""))
    end
    assert.equal(2, parts { 1, 2, 3, 1, 2, 3, 1, 2 })
    assert.equal(3, parts { 1, 2, 3, 0 / 0, 2, 3, 1, 2 })
    os.remove(path)
  end)

  it("says why it cannot be saved", function()
    local figure = plot.lines(curves)
    assert.truthy(message(figure.save, figure, "x.bmp")
      :find('save: "x.bmp" does not end in .svg, .png or .pdf', 1, true))
    if has_gnuplot() then
      local folder = os.tmpname()
      os.remove(folder)
      assert.truthy(message(figure.save, figure, folder .. "/x.svg")
        :find(("save: directory %s/ does not exist"):format(folder), 1, true))
    end
  end)

  it("is drawn with characters", function()
    local text = plot.lines(curves, { title = "Loss", xlabel = "Epochs" }):text { width = 40, height = 8 }
    local lines = {}
    for line in text:gmatch "[^\n]+" do
      lines[#lines + 1] = line
      assert.is_true(#line <= 40)
      assert.is_nil(line:find "[^\32-\126]")
    end
    assert.equal(1 + 8 + 3, #lines)
    assert.truthy(lines[1]:find "^ +Loss$")
    assert.truthy(lines[2]:find "^ +3 |[*o]")
    assert.truthy(lines[9]:find "^ +1.25 | +%*+$")
    assert.truthy(lines[11]:find "^ +1 +Epochs +4$")
    assert.truthy(lines[12]:find("* train_loss   o test_loss", 1, true))
    local both = plot.grid({ plot.lines(curves), plot.lines { 1, 0 / 0, 2 } }, { title = "both" }):text()
    assert.truthy(both:find "^ +both\n\n")
  end)

  it("orders named series by name and takes tensors", function()
    local text = plot.lines({ b = mascon.tensor { 1, 2 }, a = { 2, 1 } }):text()
    assert.truthy(text:find("* a   o b", 1, true))
  end)

  it("of every kind is saved in every type, and nothing is cut off", function()
    if not has_gnuplot() then
      pending "gnuplot is not installed"
      return
    end
    local path = os.tmpname()
    local names = { "it's", 'a "b"', "c_d{e}^f" }
    local figures = {
      plot.heatmap({ { 1, 0.5, 0 }, { 0, 0 / 0, 1 } }, { xticks = names, yticks = { "x", "y\nz" }, annot = true,
        title = "t", xlabel = "predicted", ylabel = "true" }),
      plot.heatmap({ { 3 } }, { annot = true }),
      plot.heatmap({ { 0 / 0, 1 / 0 } }, { annot = true }),
      plot.heatmap(mascon.rand { 60, 70 }),
      plot.images(mascon.rand { 3, 3, 5, 4 }, { titles = names, rows = 2, title = "pictures" }),
      plot.images(mascon.zeros({ 1, 1, 1, 1 }, { dtype = "uint8" })),
      plot.images { mascon.rand { 1, 2, 9 }, mascon.rand { 3, 300, 7 } },
      plot.hist({ { "one", { 1, 2, 2, 0 / 0 } }, { "two", { 5 } } }, { bins = 4, title = "h" }),
      plot.hist({ 2, 2 }, { density = true }),
      plot.hist({ 0 / 0 }),
      plot.scatter({ 1, 2, 3 }, { 1, 0 / 0, 2 }, { labels = { 2, 1, 2 }, names = { "a", "b" } }),
      plot.scatter({ { "left", { 1 }, { 2 } }, { "right", { 1, 2 }, { 3, 4 } } }, { title = "s" }),
      plot.scatter({ 0 }, { 0 }),
    }
    figures[#figures + 1] = plot.grid({ unpack(figures) }, { columns = 4, title = "all" })
    for i, figure in ipairs(figures) do
      for _, ending in ipairs(i % 4 == 1 and { "svg", "png", "pdf" } or { "svg" }) do
        local name = path .. "." .. ending
        figure:save(name)
        assert.is_true(#read(name) > 1000, i .. ending)
        os.remove(name)
      end
    end
    figures[1]:save(path .. ".svg")
    local svg = read(path .. ".svg")
    for _, text in ipairs { "it's", "predicted", "c_d{e}^f", "0.50", "y z" } do
      assert.truthy(svg:find(text, 1, true), text)
    end
    os.remove(path .. ".svg")
    os.remove(path)
  end)

  it("of heat maps and pictures is drawn with blocks", function()
    local heat = plot.heatmap({ { 1, 0 }, { 0.25, 0.5 } }, { xticks = { "cat", "dog" }, yticks = { "cat", "dog" },
      annot = true, title = "T", xlabel = "predicted", ylabel = "true" })
    assert.equal([[
       T
rows: true   columns: predicted
      cat   dog
cat  1.00█ 0.00 ]] .. "\n" .. [[
dog  0.25░ 0.50▒]], heat:text { color = false })
    local colored = heat:text { color = true }
    assert.truthy(colored:find("\27[48;2;", 1, true))
    assert.equal(2 + 1 + 2, #colored:gsub("[^\n]", "") + 1)
    assert.equal("  1\n1   ██\n  empty .. full = 0 .. 1", plot.heatmap({ { 0, 1 } }):text { color = false })
    local X = mascon.zeros { 2, 1, 8, 8 }
    X[{ 2 }] = 1
    local text = plot.images(X, { titles = { "black", "white" }, rows = 1 }):text { color = false, width = 22 }
    local lines = {}
    for line in text:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    assert.equal("black       white", lines[1])
    assert.equal((" "):rep(12) .. ("█"):rep(10), lines[2])
    assert.equal(1 + 5, #lines)
    assert.truthy(plot.images(X):text({ color = true }):find("▀", 1, true))
  end)

  it("of points and counts is drawn with characters", function()
    local text = plot.scatter({ 1, 2 }, { 1, 2 }, { labels = { "a", "b" } }):text { width = 40, height = 6 }
    assert.truthy(text:find("* a   o b", 1, true))
    assert.equal(2, select(2, text:gsub("%*", "")))
    text = plot.hist({ 1, 2, 2, 3 }, { bins = 2, title = "H" }):text { width = 40 }
    assert.truthy(text:find "H\n +1 |#+ 1\n +2 |#+ 3$")
  end)

  it("counts as NumPy's histogram does", function()
    local figure = plot.hist({ 0, 0.5, 1, 1, 2, 5, 0 / 0 }, { bins = 2, range = { 0, 2 } })
    assert.same({ 2, 3 }, figure.series[1].counts)
    figure = plot.hist({ 0, 1, 1, 4 }, { bins = 4, density = true })
    assert.same({ 0.25, 0.5, 0, 0.25 }, figure.series[1].counts)
  end)

  it("has a heat map whose colours grow lighter evenly and whose numbers can be read", function()
    local map = require("mascon.plot.colour").map
    local function luminance(r, g, b)
      local function linear(v)
        v = v / 255
        return v <= 0.04045 and v / 12.92 or ((v + 0.055) / 1.055) ^ 2.4
      end
      return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    end
    local last = -1
    for i = 0, 50 do
      local light = luminance(map(i / 50))
      assert.is_true(light > last)
      last = light
      local on = require("mascon.plot.colour").text_on(i / 50) == 0xffffff and 1 or luminance(26, 26, 26)
      assert.is_true((math.max(on, light) + 0.05) / (math.min(on, light) + 0.05) > 3, i)
    end
  end)

  it("refuses what it cannot draw", function()
    assert.truthy(message(plot.lines, 5):find("lines: argument 1 is 5", 1, true))
    assert.truthy(message(plot.lines, {}):find("no series given", 1, true))
    assert.truthy(message(plot.lines, { a = {} }):find("lines: a has no values", 1, true))
    assert.truthy(message(plot.lines, { a = { 1, "x" } }):find('value 2 of a is "x"', 1, true))
    assert.truthy(message(plot.lines, { a = { 1, 2 } }, { x = { 1 } }):find("series a has 2 values, x has 1", 1, true))
    assert.truthy(message(plot.lines, { a = { 1 } }, { titel = "x" }):find('did you mean "title"?', 1, true))
    assert.truthy(message(plot.grid, {}):find("grid: argument 1 is missing", 1, true))
    assert.truthy(message(plot.grid, { 5 }):find("grid: element 1 is 5", 1, true))
    local function refused(text, f, ...)
      local said = message(f, ...)
      assert.truthy(said:find(text, 1, true), said)
    end
    refused("heatmap: argument 1 is {2}; expected {rows, columns}", plot.heatmap, mascon.zeros { 2 })
    refused("row 2 has 1 values, row 1 has 2", plot.heatmap, { { 1, 2 }, { 3 } })
    refused("xticks has 1 names; expected 2", plot.heatmap, { { 1, 2 } }, { xticks = { "a" } })
    refused('fmt is "%d %d"', plot.heatmap, { { 1 } }, { fmt = "%d %d" })
    refused("vmin 2 is above vmax 1", plot.heatmap, { { 1 } }, { vmin = 2, vmax = 1 })
    refused("argument 1 is {3, 4, 5}; expected {N, C, H, W}\nhint: x:unsqueeze(1)", plot.images,
      mascon.zeros { 3, 4, 5 })
    refused("pictures have 2 channels", plot.images, mascon.zeros { 1, 2, 4, 5 })
    refused("pictures are int64", plot.images, mascon.zeros({ 1, 1, 2, 2 }, { dtype = "int64" }))
    refused("titles has 1 names; expected 2", plot.images, mascon.zeros { 2, 1, 2, 2 }, { titles = { "a" } })
    refused("there is nothing to draw", plot.images, mascon.zeros { 0, 1, 2, 2 })
    refused("500 pictures; at most 400", plot.images, mascon.zeros { 500, 1, 1, 1 })
    refused("range is not {low, high}", plot.hist, { 1 }, { range = { 2, 1 } })
    refused("x has 1 values, y has 2", plot.scatter, { 1 }, { 1, 2 })
    refused("labels is a list of 1; expected a list of 2", plot.scatter, { 1, 2 }, { 1, 2 }, { labels = { 1 } })
  end)
end)
