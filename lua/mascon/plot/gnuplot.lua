--- Figures through gnuplot, an outside program that is looked for at first use.
-- gnuplot reads a script from a temporary file. Texts stand in single quotes, where it interprets nothing.

local options = require "mascon.options"
local panels = require "mascon.plot.panels"

local quote = panels.quote
local M = {}

-- The program -----------------------------------------------------------------------------------------

local function shell_quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

local function succeeded(a, _, c)
  return a == 0 or a == true and (c == nil or c == 0)
end

local found

--- Raises unless gnuplot can be run.
local function need_gnuplot(prefix)
  found = found or succeeded(os.execute "command -v gnuplot >/dev/null 2>&1")
  if not found then
    options.fail(prefix, "gnuplot was not found; figures are drawn by it",
      "apt-get install gnuplot-nox (or fig:text() for the terminal)")
  end
end

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local s = file:read "*a"
  file:close()
  return s
end

--- Runs a script; returns nil, or what gnuplot complained about.
local function run(prefix, script, flags)
  local path = os.tmpname()
  local file, why = io.open(path, "wb")
  if not file then
    options.fail(prefix, ("no temporary file could be made: %s"):format(why))
  end
  file:write(script)
  file:close()
  local errors = path .. ".err"
  local good = succeeded(os.execute(("gnuplot %s %s >%s 2>&1"):format(flags, shell_quote(path),
    shell_quote(errors))))
  local said = read_file(errors)
  os.remove(path)
  os.remove(errors)
  if not good then
    -- the lines that only show the place in the script start with its name or a caret
    local line = said:match "line %d+: ([^\n]+)" or said:match "([^\n]+)%s*$" or "it ended with an error"
    return line
  end
end

-- The script --------------------------------------------------------------------------------------------

--- The commands that draw a figure, after a terminal has been set.
---@param f mascon.plot.Figure
---@param size number of the font
---@return string
function M.script(f, size)
  local out = {
    "set termoption noenhanced",
    "set encoding utf8",
    "set datafile missing '?'",
  }
  if f.kind == "grid" then
    out[#out + 1] = ("set multiplot layout %d,%d %s"):format(f.rows, f.columns,
      f.title and ("title %s font ',%g'"):format(quote(f.title), size + 3) or "")
    for i, panel in ipairs(f.panels) do
      panels.draw(panel, out, "panel" .. i, size)
    end
    out[#out + 1] = "unset multiplot"
  else
    panels.draw(f, out, "panel1", size)
  end
  return table.concat(out, "\n") .. "\n"
end

-- Files -------------------------------------------------------------------------------------------------

local sizes = { svg = 13, png = 11, pdf = 10 } -- of the fonts
local terminals = {
  svg = "svg size %d,%d dynamic background '#ffffff' font 'Helvetica,%d'",
  png = "pngcairo size %d,%d background '#ffffff' font 'Sans,%d'",
  pdf = "pdfcairo size %.3fin,%.3fin background '#ffffff' font 'Sans,%d'",
}

local function check_writable(path)
  local before = io.open(path, "rb")
  if before then
    before:close()
  end
  local file, why = io.open(path, "ab")
  if not file then
    local folder = path:match "^(.*/)"
    local there = folder and io.open(folder)
    if folder and not there then
      options.fail("save", ("directory %s does not exist"):format(folder))
    elseif there then
      there:close()
    end
    options.fail("save", (why:gsub("^" .. path:gsub("%p", "%%%0") .. ": ", path .. ": ")))
  end
  file:close()
  return before ~= nil
end

--- Asks viewers of an SVG file to keep the pixels of pictures sharp, as the other types do.
local function keep_pixels(path)
  local svg = read_file(path)
  local sharp, n = svg:gsub("<image ", "<image style='image-rendering: pixelated' ")
  if n > 0 then
    local file, why = io.open(path, "wb")
    local good = file
    if file then
      good, why = file:write(sharp)
      local closed, closing = file:close()
      good, why = good and closed, why or closing
    end
    if not good then
      options.fail("save", ("%s cannot be written: %s"):format(path, why))
    end
  end
end

--- Writes a figure to a file.
---@param f mascon.plot.Figure
---@param path string
function M.save(f, path)
  local ending = path:match "%.(%w+)$"
  ending = ending and ending:lower()
  local terminal, size = terminals[ending or ""], sizes[ending or ""]
  if not terminal then
    options.fail("save", ("%s does not end in .svg, .png or .pdf"):format(options.show(path)))
  elseif path:find "%c" then
    options.fail("save", ("%q holds control characters"):format(path))
  end
  need_gnuplot "save"
  local existed = check_writable(path)
  local width, height = f.width, f.height
  if ending == "pdf" then
    width, height = width / 96, height / 96
  end
  local failure = run("save", ("set terminal %s\nset output %s\n%sset output\n"):format(
    terminal:format(width, height, size), quote(path), M.script(f, size)), "")
  if failure then
    if not existed then
      os.remove(path)
    end
    options.fail("save", ("gnuplot could not draw %s: %s"):format(path, failure))
  end
  if ending == "svg" then
    keep_pixels(path)
  end
end

--- Opens a window that stays.
---@param f mascon.plot.Figure
function M.show(f)
  local function set(name)
    return (os.getenv(name) or "") ~= ""
  end
  if not set "DISPLAY" and not set "WAYLAND_DISPLAY" then
    options.fail("show", "there is no display", 'fig:save "figure.png", or print(fig:text())')
  end
  need_gnuplot "show"
  local failure = run("show", M.script(f, sizes.png), "-persist")
  if failure then
    options.fail("show", ("gnuplot opened no window: %s"):format(failure),
      "gnuplot-nox has none; gnuplot-qt or gnuplot-x11 do")
  end
end

return M
