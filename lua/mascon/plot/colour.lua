--- Colours of figures: the colours of series, and a map from 0..1 to colours whose lightness rises evenly.
-- The map is a curve in the Oklab colour space, from a dark violet over blue and green to a bright
-- yellow: equal steps of the value look like equal steps, and it stays readable in grey. Where the
-- curve leaves what a screen can show, the colour is made paler.

local M = {}

--- Series are told apart by these; after the last the first comes again.
M.series = { "#2f6db5", "#e07b28", "#3a923a", "#c23b3b", "#8a63c2", "#8c5a35", "#e07ab8", "#7a7a7a",
  "#b5b02a", "#2bb3c4" }

local DARK, BRIGHT = 0.27, 0.93     -- lightness at 0 and 1
local FIRST_HUE, LAST_HUE = 318, 108 -- degrees
local CHROMA = 0.145

--- Linear red, green and blue of an Oklab colour.
local function to_linear(lightness, chroma, hue)
  local a, b = chroma * math.cos(math.rad(hue)), chroma * math.sin(math.rad(hue))
  local l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ^ 3
  local m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ^ 3
  local s = (lightness - 0.0894841775 * a - 1.2914855480 * b) ^ 3
  return 4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s
end

local function is_shown(r, g, b)
  return math.min(r, g, b) >= 0 and math.max(r, g, b) <= 1
end

local function to_byte(v)
  v = math.max(0, math.min(1, v))
  v = v <= 0.0031308 and 12.92 * v or 1.055 * v ^ (1 / 2.4) - 0.055
  return math.floor(v * 255 + 0.5)
end

local function lightness_at(t)
  return DARK + (BRIGHT - DARK) * t
end

--- The colour of a value in 0..1 as red, green, blue of 0..255.
---@param t number
---@return integer, integer, integer
function M.map(t)
  local lightness, hue = lightness_at(t), FIRST_HUE + (LAST_HUE - FIRST_HUE) * t
  local low, high = 0, CHROMA
  if is_shown(to_linear(lightness, high, hue)) then
    low = high
  end
  for _ = 1, 12 do -- the strongest colour that a screen can show
    local middle = (low + high) / 2
    if is_shown(to_linear(lightness, middle, hue)) then
      low = middle
    else
      high = middle
    end
  end
  local r, g, b = to_linear(lightness, low, hue)
  return to_byte(r), to_byte(g), to_byte(b)
end

--- "#rrggbb" of a value in 0..1.
---@param t number
function M.hex(t)
  return ("#%02x%02x%02x"):format(M.map(t))
end

--- The colour of text on a cell of value t, as gnuplot's number.
---@param t number
function M.text_on(t)
  return lightness_at(t) < 0.62 and 0xffffff or 0x1a1a1a
end

return M
