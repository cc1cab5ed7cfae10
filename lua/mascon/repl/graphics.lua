--- Whether the terminal draws pictures itself, and how large they may be.
-- It is asked once, when the first picture is to be shown: the kitty protocol by a query that only such
-- terminals answer, sixels by attribute 4 of the answer to ESC [ c, which nearly every terminal gives and
-- which ends the wait. MASCON_GRAPHICS (blocks, sixel, kitty, off) decides instead of the terminal.

local kitty = require "mascon.repl.kitty"
local layer = require "mascon.ffi"
local options = require "mascon.options"
local sixel = require "mascon.repl.sixel"
local style = require "mascon.repl.style"

local M = {}

local WAIT_MS = 300 -- for a terminal that answers nothing
local QUERY = "\27_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\27\\\27[c"
local CELL_WIDTH, CELL_HEIGHT = 10, 20 -- pixels, where the terminal does not say
local MOST = 1000                      -- pixels of a side; terminals refuse larger sixels

local choices = { blocks = true, sixel = true, kitty = true, off = true }

--- What MASCON_GRAPHICS says, nil where it is not set.
---@return string?
function M.setting()
  local given = os.getenv "MASCON_GRAPHICS" or ""
  if given ~= "" and not choices[given] then
    options.fail("show", ('MASCON_GRAPHICS is "%s"; expected blocks, sixel, kitty or off'):format(given))
  end
  return given ~= "" and given or nil
end

--- What the terminal's answer to the query means.
---@param answer string
---@return string "kitty", "sixel" or "blocks"
function M.meaning(answer)
  if answer:find("\27_Gi=31;OK\27\\", 1, true) then
    return "kitty"
  end
  for attributes in answer:gmatch "\27%[%?([%d;]*)c" do
    -- the first number is the kind of terminal
    for number in attributes:gmatch ";(%d+)" do
      if number == "4" then
        return "sixel"
      end
    end
  end
  return "blocks"
end

local known

--- How pictures are drawn: "kitty", "sixel" or "blocks".
---@param terminal table ask(text, milliseconds)
---@return string
function M.protocol(terminal)
  if not known then
    local given = M.setting()
    if not layer.isatty(1) or not terminal.ask then
      known = "blocks"
    elseif given then
      known = given == "off" and "blocks" or given
    elseif not style.on then -- NO_COLOR, or a terminal that draws nothing
      known = "blocks"
    else
      known = M.meaning(terminal.ask(QUERY, WAIT_MS))
    end
  end
  return known
end

--- The pixels that a picture may take: whole cells, a column and some rows left for the prompt; and the
--- width of a cell, nil where the terminal does not say.
---@param terminal table size()
---@return integer width, integer height, number? cell
function M.room(terminal)
  local columns, rows, width, height = terminal.size()
  local told = width > 0 and height > 0
  local cell_width = told and width / columns or CELL_WIDTH
  local cell_height = told and height / rows or CELL_HEIGHT
  return math.max(8, math.min(MOST, math.floor((columns - 1) * cell_width))),
    math.max(8, math.min(MOST, math.floor(math.max(4, rows - 3) * cell_height))), told and cell_width or nil
end

--- The text that shows a picture of RGB bytes.
---@param protocol string "kitty" or "sixel"
---@param rgb any bytes from 0
---@param width integer
---@param height integer
---@param cell number? width of a cell
---@return string
function M.text(protocol, rgb, width, height, cell)
  if protocol == "sixel" then
    return sixel.sequence(rgb, width, height)
  end
  local keys = ("f=24,s=%d,v=%d"):format(width, height)
  if not cell then -- the terminal scales it to so many columns
    keys = keys .. (",c=%d"):format(math.max(1, math.floor(width / CELL_WIDTH + 0.5)))
  end
  return kitty.sequences(layer.string(rgb, width * height * 3), keys)
end

--- The text that shows a PNG file by the kitty protocol.
---@param bytes string
---@return string
function M.png(bytes)
  return kitty.sequences(bytes, "f=100")
end

return M
