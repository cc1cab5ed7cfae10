--- mascon.image: golden files, writing, and what becomes of broken, huge and foreign files.

local mascon = require "mascon"
local pixels = require "spec.support.pixels"

local image, T = mascon.image, mascon.transforms
local golden = dofile "spec/golden/images/cases.lua"
local folder = "spec/golden/images/"

local function bytes_of(name)
  local f = assert(io.open(name, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

local function fails(text, f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good)
  local at = message:match "^[^\n]-image_spec.lua:%d+: (.*)"
  assert.is_truthy(at, message)
  assert.equal(text, at:sub(1, #text))
end

local function u32(n)
  return string.char(math.floor(n / 2 ^ 24) % 256, math.floor(n / 2 ^ 16) % 256,
    math.floor(n / 2 ^ 8) % 256, n % 256)
end

--- CRC-32 as PNG has it.
local function crc(text)
  local c = 0xffffffff
  for i = 1, #text do
    c = bit.bxor(c, text:byte(i))
    for _ = 1, 8 do
      c = bit.bxor(bit.rshift(c, 1), bit.band(c, 1) == 1 and 0xedb88320 or 0)
    end
  end
  return bit.bnot(c) % 2 ^ 32
end

--- A PNG that promises w x h pixels and holds none.
local function promise(w, h)
  local body = "IHDR" .. u32(w) .. u32(h) .. "\8\2\0\0\0"
  return "\137PNG\r\n\26\n" .. u32(13) .. body .. u32(crc(body)) .. u32(0) .. "IDAT" .. u32(crc "IDAT")
end

describe("image.read", function()
  for name, expected in pairs(golden.files) do
    it("gives Pillow's pixels: " .. name, function()
      local x = image.read(folder .. name, name:find "turned" and { orientation = true } or nil)
      assert.equal("uint8", x.dtype)
      assert.same({ expected[1], expected[2], expected[3] }, x.shape)
      assert.equal(expected[4], pixels.md5(x))
      assert.equal(expected[4], pixels.md5(image.decode(bytes_of(folder .. name),
        { orientation = name:find "turned" ~= nil })))
    end)
  end

  it("applies no orientation unless asked", function()
    assert.same({ 3, 21, 34 }, image.read(folder .. "turned6.jpg").shape)
  end)

  it("gives three channels when asked", function()
    local rgb, alpha = image.read(folder .. "rgb.png"), image.read(folder .. "alpha.png",
      { channels = 3 })
    assert.equal(pixels.md5(rgb), pixels.md5(alpha))
    for _, name in ipairs { "gray.jpg", "gray.png", "grayalpha.png", "bits.png" } do
      local x = image.read(folder .. name, { channels = 3 })
      assert.equal(pixels.md5(image.read(folder .. name)[1]), pixels.md5(x[3]))
      assert.same({ 3, 21, 34 }, x.shape)
    end
  end)

  it("tells formats by content", function()
    local name = pixels.temporary ".jpg"
    local f = io.open(name, "wb")
    f:write(bytes_of(folder .. "rgb.png"))
    f:close()
    assert.equal(golden.files["rgb.png"][4], pixels.md5(image.read(name)))
    os.remove(name)
  end)
end)

describe("image.write", function()
  it("PNG comes back as it was, with 1 to 4 channels and any strides", function()
    mascon.manual_seed(1)
    local name = pixels.temporary ".png"
    for c = 1, 4 do
      local x = mascon.randint(0, 256, { c, 7, 5 }):to "uint8"
      image.write(name, x)
      assert.equal(pixels.md5(x), pixels.md5(image.read(name)))
      image.write(name, x:transpose(2, 3))
      assert.equal(pixels.md5(x:transpose(2, 3):contiguous()), pixels.md5(image.read(name)))
    end
    os.remove(name)
  end)

  it("JPEG comes back nearly as it was", function()
    local name = pixels.temporary ".jpg"
    local x = image.resize(image.read(folder .. "rgb.png"), { 84, 136 })
    for _, picture in ipairs { x, T.Grayscale()(x) } do
      image.write(name, picture, { quality = 98 })
      local y = image.read(name)
      assert.same(picture.shape, y.shape)
      assert.is_true((picture:to "float32" - y:to "float32"):abs():mean():item() < 6)
    end
    local large = #bytes_of(name)
    image.write(name, T.Grayscale()(x), { quality = 20 })
    assert.is_true(#bytes_of(name) < large / 2)
    os.remove(name)
  end)

  it("checks what it is given, and leaves the old file", function()
    local name = pixels.temporary ".png"
    local x = mascon.zeros({ 3, 2, 2 }, { dtype = "uint8" })
    image.write(name, x)
    local before = bytes_of(name)
    fails("image.write: picture is float32; expected uint8\nhint: ", image.write, name,
      mascon.zeros { 3, 2, 2 })
    fails("image.write: picture is {5, 2, 2}; expected {channels, height, width} with 1 to 4 channels",
      image.write, name, mascon.zeros({ 5, 2, 2 }, { dtype = "uint8" }))
    assert.equal(before, bytes_of(name))
    os.remove(name)
    fails('image.write: path ends in ".gif"; expected .png, .jpg or .jpeg', image.write, "a.gif", x)
    fails("image.write: picture has 4 channels; a JPEG has 1 or 3", image.write, "a.jpg",
      mascon.zeros({ 4, 2, 2 }, { dtype = "uint8" }))
    fails("image.write: quality is 0; must be ", image.write, "a.jpg", x, { quality = 0 })
    fails("image.write: cannot write /nowhere/at/all.png: No such file or directory", image.write,
      "/nowhere/at/all.png", x)
  end)
end)

describe("bad pictures", function()
  for _, name in ipairs { "rgb.jpg", "progressive.jpg", "gray.jpg", "rgb.png", "palette.png" } do
    it("truncated at every byte: " .. name, function()
      local whole = bytes_of(folder .. name)
      local jpeg = name:find "jpg"
      -- the end marker of a JPEG and the last chunk of a PNG hold no pixels
      for n = 1, #whole - (jpeg and 3 or 17) do
        local good, message = pcall(image.decode, whole:sub(1, n))
        assert.is_false(good, n)
        assert.matches("image.decode: ", message, 1, true)
        assert.is_truthy(message:find " data ends early at [%d,]+ of [%d,]+ bytes"
          or message:find " is damaged" or message:find "neither JPEG nor PNG"
          or message:find "a picture of 0x0", message)
      end
    end)
  end

  it("say where JPEG data ends (D53)", function()
    local whole = bytes_of(folder .. "rgb.jpg")
    fails("image.decode: JPEG data ends early at 800 of 800 bytes", image.decode, whole:sub(1, 800))
    -- an end marker in the middle of the pixels
    local cut = whole:sub(1, 800) .. "\255\217" .. whole:sub(803) .. ("x"):rep(400)
    fails("image.decode: JPEG data ends early at 800 of 1,340 bytes", image.decode, cut)
  end)

  it("are read as far as they go when asked", function()
    local whole = bytes_of(folder .. "rgb.jpg")
    local x, damaged = image.decode(whole:sub(1, 800), { strict = false })
    assert.same({ 3, 21, 34 }, x.shape)
    assert.is_true(damaged)
    x, damaged = image.decode(whole, { strict = false })
    assert.equal(golden.files["rgb.jpg"][4], pixels.md5(x))
    assert.is_false(damaged)
  end)

  it("with changed bytes end in a picture or a sentence", function()
    for _, name in ipairs { "rgb.jpg", "progressive.jpg", "rgb.png", "palette.png", "turned6.jpg" } do
      local whole = bytes_of(folder .. name)
      local state = 7
      for _ = 1, 300 do
        state = state * 16807 % 2147483647
        local at = state % #whole + 1
        state = state * 16807 % 2147483647
        local good, x = pcall(image.decode, whole:sub(1, at - 1) .. string.char(state % 256)
          .. whole:sub(at + 1), { max_pixels = 1e6, orientation = true })
        assert.is_true(good and x:dim() == 3 or not good and x:find("image.decode: ", 1, true) ~= nil)
      end
    end
  end)

  it("bombs are refused before memory is taken (D75)", function()
    fails("image.decode: 60000x60000 = 3,600 MP exceeds max_pixels (64 MP)", image.decode,
      promise(60000, 60000))
    fails("image.decode: PNG is damaged at byte ", image.decode, promise(2000000, 3)) -- libpng's limit
    fails("image.decode: 34x21 = 714 pixels exceeds max_pixels (700 pixels)", image.decode,
      bytes_of(folder .. "rgb.jpg"), { max_pixels = 700 })
    -- a JPEG whose head says 65,500 x 65,500
    local jpeg = bytes_of(folder .. "rgb.jpg")
    local at = jpeg:find("\255\192", 1, true)
    jpeg = jpeg:sub(1, at + 4) .. "\255\220\255\220" .. jpeg:sub(at + 9)
    fails("image.decode: 65500x65500 = 4,290 MP exceeds max_pixels (64 MP)", image.decode, jpeg)
    local name = pixels.temporary ".png"
    local f = io.open(name, "wb")
    f:write(promise(60000, 60000))
    f:close()
    fails("image.read: 60000x60000 = 3,600 MP exceeds max_pixels (64 MP)\n  file " .. name,
      image.read, name)
    os.remove(name)
  end)

  it("of other kinds are named", function()
    fails('image.decode: neither JPEG nor PNG: begins with "GIF89a"', image.decode, "GIF89a")
    fails("image.decode: no bytes at all; expected a JPEG or PNG", image.decode, "")
    fails("image.decode: JPEG in CMYK colours; gray and RGB are read\nhint: convert the file to RGB",
      image.decode, bytes_of(folder .. "cmyk.jpg"))
    fails("image.read: /nowhere/cat.jpg: no such file", image.read, "/nowhere/cat.jpg")
    fails("image.read: path is a number; expected a string", image.read, 5)
    fails('image.read: unknown option "max_pixel"\nhint: did you mean "max_pixels"?', image.read, "x",
      { max_pixel = 5 })
    fails("image.decode: max_pixels is 0; must be 1 or more", image.decode, "x", { max_pixels = 0 })
  end)
end)
