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

  it("refuses what it cannot draw", function()
    assert.truthy(message(plot.lines, 5):find("lines: argument 1 is 5", 1, true))
    assert.truthy(message(plot.lines, {}):find("no series given", 1, true))
    assert.truthy(message(plot.lines, { a = {} }):find("lines: a has no values", 1, true))
    assert.truthy(message(plot.lines, { a = { 1, "x" } }):find('value 2 of a is "x"', 1, true))
    assert.truthy(message(plot.lines, { a = { 1, 2 } }, { x = { 1 } }):find("series a has 2 values, x has 1", 1, true))
    assert.truthy(message(plot.lines, { a = { 1 } }, { titel = "x" }):find('did you mean "title"?', 1, true))
    assert.truthy(message(plot.grid, {}):find("grid: argument 1 is missing", 1, true))
    assert.truthy(message(plot.grid, { 5 }):find("grid: element 1 is 5", 1, true))
  end)
end)
