--- Pictures as terminal graphics: what is drawn is decoded again, and a pseudo-terminal answers the question
-- what it can draw as terminals of each kind do.

local mascon = require "mascon"

local graphics = require "mascon.repl.graphics"
local kitty = require "mascon.repl.kitty"
local layer = require "mascon.ffi"
local palette = require "mascon.repl.palette"
local player = require "spec.support.session"
local write = require("spec.support.shell").temporary
local sixel = require "mascon.repl.sixel"

local function bytes_of(list)
  local rgb = layer.new("uint8_t[?]", #list)
  for i, v in ipairs(list) do
    rgb[i - 1] = v
  end
  return rgb
end

--- RGB bytes of a picture with more colours than 256: two slopes and a third part.
local function slopes(width, height)
  local list = {}
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      list[#list + 1] = math.floor(x * 255 / (width - 1))
      list[#list + 1] = math.floor(y * 255 / (height - 1))
      list[#list + 1] = (x * y) % 256
    end
  end
  return bytes_of(list)
end

--- Draws a sixel sequence: {width, height, pixel = {[y * width + x] = {r, g, b} in percent}}.
local function draw(text)
  local head, width, height, body = text:match '^\27P([%d;]*)q"1;1;(%d+);(%d+)(.*)\27\\$'
  assert(head, "no sixel sequence: " .. text:sub(1, 40))
  local p = { width = tonumber(width), height = tonumber(height), pixel = {} }
  local colours, colour, x, top, at = {}, nil, 0, 0, 1
  local function dots(n, c)
    local value = c:byte() - 63
    assert(value >= 0 and value < 64, "no sixel: " .. c)
    for _ = 1, n do
      for dy = 0, 5 do
        if math.floor(value / 2 ^ dy) % 2 == 1 then
          assert(x < p.width and top + dy < p.height, "a dot outside of the picture")
          p.pixel[(top + dy) * p.width + x] = assert(colours[colour])
        end
      end
      x = x + 1
    end
  end
  while at <= #body do
    local c = body:sub(at, at)
    local number, rest = body:match("^#(%d+)()", at)
    local r, g, b, after = body:match("^;2;(%d+);(%d+);(%d+)()", rest)
    local n, sign, behind = body:match("^!(%d+)(.)()", at)
    if number then
      colour, at = tonumber(number), after or rest
      assert(colour < 256)
      if r then
        colours[colour] = { tonumber(r), tonumber(g), tonumber(b) }
      end
    elseif n then
      dots(tonumber(n), sign)
      at = behind
    else
      if c == "$" then
        x = 0
      elseif c == "-" then
        x, top = 0, top + 6
      else
        dots(1, c)
      end
      at = at + 1
    end
  end
  return p
end

--- The bytes of a base64 text, by arithmetic on its bits.
local function from_base64(text)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out, bits, n = {}, 0, 0
  for c in text:gsub("=", ""):gmatch "." do
    bits, n = bits * 64 + (alphabet:find(c, 1, true) - 1), n + 6
    if n >= 8 then
      n = n - 8
      out[#out + 1] = string.char(math.floor(bits / 2 ^ n))
      bits = bits % 2 ^ n
    end
  end
  return table.concat(out)
end

--- The keys of the first sequence and the bytes of all.
local function from_kitty(text)
  local pieces, keys, last = {}, nil, nil
  local at = 1
  while at <= #text do
    local head, piece, after = text:match("^\27_G([^;]*);([%w+/=]*)\27\\()", at)
    assert(head, "no sequence at byte " .. at)
    assert(#piece <= 4096 and (#piece % 4 == 0))
    keys, last = keys or head, head
    pieces[#pieces + 1] = piece
    assert.equal(after > #text and "0" or "1", head:match "m=(%d)")
    at = after
  end
  assert(last:find("m=0", 1, true))
  return keys, from_base64(table.concat(pieces))
end

describe("a palette", function()
  it("keeps the colours of a picture that has few", function()
    local p = palette.reduce(bytes_of { 255, 0, 0, 1, 2, 3, 255, 0, 0 }, 3)
    assert.same({ { 255, 0, 0 }, { 1, 2, 3 } }, p.colours)
    assert.same({ 0, 1, 0 }, { p.index[0], p.index[1], p.index[2] })
  end)

  it("is near to every pixel", function()
    local rgb = slopes(64, 48)
    local p = palette.reduce(rgb, 64 * 48)
    assert.is_true(#p.colours > 200 and #p.colours <= 256)
    local sum = 0
    for i = 0, 64 * 48 - 1 do
      local c = p.colours[p.index[i] + 1]
      for k = 0, 2 do
        sum = sum + math.abs(c[k + 1] - rgb[3 * i + k])
      end
    end
    assert.is_true(sum / (64 * 48 * 3) < 16, "mean distance " .. sum / (64 * 48 * 3))
    assert.equal(8, #palette.reduce(rgb, 64 * 48, 8).colours)
  end)
end)

describe("sixels", function()
  it("give the picture back", function()
    for _, size in ipairs { { 1, 1 }, { 5, 6 }, { 7, 13 }, { 40, 30 } } do
      local width, height = size[1], size[2]
      local list = {}
      for i = 0, width * height - 1 do -- few colours: exact but for the percent
        local v = (i * 7 + math.floor(i / width)) % 11
        list[3 * i + 1], list[3 * i + 2], list[3 * i + 3] = v * 25, 255 - v * 20, i % width < 3 and 0 or 200
      end
      local p = draw(sixel.sequence(bytes_of(list), width, height))
      assert.same({ width, height }, { p.width, p.height })
      for i = 0, width * height - 1 do
        local c = assert(p.pixel[i], "pixel " .. i .. " is not drawn")
        for k = 1, 3 do
          assert.is_true(math.abs(c[k] - list[3 * i + k] / 2.55) <= 0.5)
        end
      end
    end
  end)

  it("draw every pixel of a picture with many colours, near to its own", function()
    local rgb = slopes(100, 50)
    local p = draw(sixel.sequence(rgb, 100, 50))
    local sum = 0
    for i = 0, 100 * 50 - 1 do
      local c = assert(p.pixel[i], "pixel " .. i .. " is not drawn")
      for k = 1, 3 do
        sum = sum + math.abs(c[k] * 2.55 - rgb[3 * i + k - 1])
      end
    end
    assert.is_true(sum / 15000 < 16, "mean distance " .. sum / 15000)
  end)

  it("write runs short", function()
    local list = {}
    for i = 1, 3 * 600 do
      list[i] = 9
    end
    assert.is_true(#sixel.sequence(bytes_of(list), 100, 6) < 60)
  end)
end)

describe("the kitty protocol", function()
  it("has the base64 of RFC 4648", function()
    for text, coded in pairs { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==",
      fooba = "Zm9vYmE=", foobar = "Zm9vYmFy", ["\0\255\254"] = "AP/+" } do
      assert.equal(coded, kitty.base64(text))
    end
  end)

  it("carries all bytes, in pieces of at most 4096 characters", function()
    for _, n in ipairs { 1, 3071, 3072, 3073, 10000 } do
      local parts = {}
      for i = 1, n do
        parts[i] = string.char(i * 31 % 256)
      end
      local keys, bytes = from_kitty(kitty.sequences(table.concat(parts), "f=100"))
      assert.is_truthy(keys:find("a=T,q=2,f=100", 1, true))
      assert.is_true(bytes == table.concat(parts), n .. " bytes")
    end
  end)
end)

describe("a terminal's answer", function()
  it("says what it draws", function()
    for answer, meaning in pairs {
      ["\27[?62;4c"] = "sixel", ["\27[?65;1;4;9c"] = "sixel", ["\27[?4c"] = "blocks", ["\27[?64;14;24c"] = "blocks",
      [""] = "blocks", ["\27[?6c"] = "blocks", ["\27_Gi=31;OK\27\\\27[?62c"] = "kitty",
      ["\27_Gi=31;OK\27\\\27[?62;4c"] = "kitty", ["\27_Gi=31;ENOTSUPPORTED:\27\\\27[?62;4c"] = "sixel",
    } do
      assert.equal(meaning, graphics.meaning(answer))
    end
  end)
end)

local describe_terminal = player.has_pty and describe or pending

describe_terminal("pictures at the prompt", function()
  -- a wide terminal of 10 x 20 pixels a cell; a red picture with a blue corner
  local before = [[
size 24 80 800 480
expect >
type x = mascon.zeros{3, 8, 8}; x[1]:fill_(1); x[{1, {1, 4}, {1, 4}}]:fill_(0); x[{3, {1, 4}, {1, 4}}]:fill_(1)\n
expect >
]]
  local asked = "expect a=q,t=d,f=24;AAAA\nexpect [c\n"
  local after = "expect >\ntype 6 * 7\\n\nexpect 42\nexpect >\ntype ^D\n"

  local function play(steps, environment)
    local text, _, status = player.play(before .. steps .. after, { environment = environment or "A=1" })
    assert.equal(0, status, text)
    return text
  end

  it("are sixels where the terminal says 4", function()
    local text = play("type :show x\\n\n" .. asked .. "type \\e[?62;4c\n")
    local p = draw(text:match "\27P.-\27\\")
    assert.same({ 320, 320 }, { p.width, p.height }) -- 8 pixels, 40 times as large
    assert.same({ 0, 0, 100 }, p.pixel[0])
    assert.same({ 0, 0, 100 }, p.pixel[159 * 320 + 159])
    assert.same({ 100, 0, 0 }, p.pixel[159 * 320 + 160])
    assert.same({ 100, 0, 0 }, p.pixel[319 * 320 + 319])
  end)

  it("are in kitty's protocol where the terminal knows it, and it is asked once", function()
    local text = play("type :show x\\n\n" .. asked .. "type \\e_Gi=31;OK\\e\\\\\\e[?62c\nexpect >\n"
      .. "type (x * 255):to('uint8')\\n\nexpect tensor(uint8 {3, 8, 8} cpu)\n")
    assert.equal(1, select(2, text:gsub("a=q", "")))
    local keys, bytes = from_kitty(text:match "\27_Ga=T.-m=0;[^\27]*\27\\")
    assert.is_truthy(keys:find("f=24,s=320,v=320", 1, true), keys)
    assert.equal(320 * 320 * 3, #bytes)
    assert.equal("\0\0\255", bytes:sub(1, 3))
    assert.equal("\255\0\0", bytes:sub(-3))
    assert.equal(2, select(2, text:gsub("a=T", "")))
  end)

  it("are blocks on a plain terminal, and on one that does not answer", function()
    assert.is_truthy(play("type :show x\\n\n" .. asked .. "type \\e[?6c\n"):find("▀", 1, true))
    assert.is_truthy(play("type :show x\\n\n" .. asked):find("▀", 1, true))
  end)

  it("leave what was typed ahead", function()
    local text = play("type :show x\\n\n" .. asked .. "type 100 + \\e[?6c11\\n\nexpect 111\n")
    assert.is_truthy(text:find("▀", 1, true))
  end)

  it("keep to the terminal's size", function()
    local text = play("type big = mascon.zeros{1, 300, 1200}\\n\nexpect >\ntype :show big\\n\n" .. asked
      .. "type \\e[?62;4c\n")
    local p = draw(text:match "\27P.-\27\\")
    assert.same({ 790, 198 }, { p.width, p.height })
  end)

  it("are what MASCON_GRAPHICS says, with no question", function()
    local text = play("type :show x\\n\n", "NO_COLOR=1 MASCON_GRAPHICS=sixel")
    assert.is_truthy(text:find("\27P0;1;0q", 1, true))
    assert.is_nil(text:find("a=q", 1, true))
    text = play("type :show x\\n\n", "MASCON_GRAPHICS=blocks")
    assert.is_nil(text:find("a=q", 1, true))
    text = play("type (x * 255):to('uint8')\\n\nexpect  uint8 {3, 8, 8} cpu)\n", "MASCON_GRAPHICS=off")
    assert.is_nil(text:find("▀", 1, true))
    text = play("type :show x\\n\n", "MASCON_GRAPHICS=sixels")
    assert.is_truthy(text:find('MASCON_GRAPHICS is "sixels"; expected blocks, sixel, kitty or off', 1, true))
    text = play("type :show x\\n\n", "NO_COLOR=1")
    assert.is_nil(text:find("a=q", 1, true))
    assert.is_nil(text:find("▀", 1, true))
  end)

  it("are files' bytes nowhere but on a terminal", function()
    local path = write ":show mascon.zeros{3, 8, 8}\n"
    local pipe = io.popen(("MASCON_GRAPHICS=kitty MASCON_HISTORY= %s -i < %s"):format(player.program, path))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(path)
    assert.is_nil(text:find("\27", 1, true))
  end)

  local has_gnuplot = os.execute "command -v gnuplot >/dev/null 2>&1" == 0
  local it_draws = has_gnuplot and it or pending

  it_draws("are figures too", function()
    local text = play("type plot.lines{3, 2, 1}\\n\n" .. asked .. "type \\e[?62;4c\n")
    local p = draw(text:match "\27P.-\27\\")
    assert.is_true(p.width > 500 and p.height > 300)
    local keys, bytes = from_kitty(play("type plot.lines{3, 2, 1}\\n\n", "MASCON_GRAPHICS=kitty")
      :match "\27_Ga=T.-m=0;[^\27]*\27\\")
    assert.is_truthy(keys:find("f=100", 1, true))
    assert.same({ 3, p.height, p.width }, mascon.image.decode(bytes).shape)
  end)
end)
