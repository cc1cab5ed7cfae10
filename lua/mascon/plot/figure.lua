--- Figures: what plot.lines and its like return.

local gnuplot = require "mascon.plot.gnuplot"
local layer = require "mascon.ffi"
local options = require "mascon.options"
local text = require "mascon.plot.text"

---@class mascon.plot.Figure
---@field kind string "lines" | "scatter" | "hist" | "heatmap" | "images" | "grid"
local Figure = {}
Figure.__index = Figure

local M = {}

---@return mascon.plot.Figure
function M.new(description)
  return setmetatable(description, Figure)
end

function M.is_figure(v)
  return type(v) == "table" and getmetatable(v) == Figure
end

--- Writes the figure to a file; the type follows the ending: .svg .png .pdf.
---@param path string
---@return mascon.plot.Figure itself
function Figure:save(path)
  options.check("save", { "path", nil, "string" }, path)
  gnuplot.save(self, path)
  return self
end

--- Opens the figure in a window, where there is a display.
function Figure:show()
  gnuplot.show(self)
  return self
end

--- The figure drawn with plain characters, for a terminal: print(fig:text()).
---@param given? table width = 72, height = 16 (characters of one panel), color (heat maps and pictures in
---  true colours; where standard output is a terminal and NO_COLOR is not set)
---@return string
function Figure:text(given)
  local o = options.read("text", given, {
    { "width", 72, "integer", min = 20 }, { "height", 16, "integer", min = 4 },
    { "color", nil, "boolean" },
  })
  local with_color = o.color
  if with_color == nil then
    with_color = layer.isatty(1) and (os.getenv "NO_COLOR" or "") == ""
  end
  return text.draw(self, o.width, o.height, with_color)
end

function Figure:__tostring()
  return self:text()
end

return M
