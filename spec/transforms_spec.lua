--- mascon.transforms: the bytes of torchvision on pictures of Pillow, the distributions of random
--- parameters, and the same numbers whatever the number of workers.

local mascon = require "mascon"
local layer = require "mascon.ffi"
local pixels = require "spec.support.pixels"

local data, datasets, T = mascon.data, mascon.datasets, mascon.transforms
local golden = dofile "spec/golden/images/cases.lua"

--- f fails with this text somewhere in its message.
local function fails(text, f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good)
  assert.is_truthy(message:find(text, 1, true), message)
end

--- A uint8 picture {c, h, w} whose values tell their place: 40 c + 6 y + x.
local function places(c, h, w)
  local t = {}
  for k = 1, c do
    t[k] = {}
    for y = 1, h do
      t[k][y] = {}
      for x = 1, w do
        t[k][y][x] = 40 * k + 6 * y + x
      end
    end
  end
  return mascon.tensor(t, { dtype = "uint8" })
end

--- Puts a picture through all stages as one C pipeline.
local function fused(stages, x)
  return T.apply(T.pipeline(stages), x, "Compose")
end

local function epoch(loader)
  local list = {}
  for X, y in loader() do
    list[#list + 1] = { pixels.md5(X), y:totable() }
  end
  return list
end

describe("transforms with fixed parameters", function()
  local picture = mascon.image.read "spec/golden/images/rgb.png"

  for _, case in ipairs(golden.transforms) do
    it("give torchvision's bytes: " .. case[1], function()
      local make = assert(loadstring("local T = ... return " .. case[1]))
      local y = make(T)(picture)
      assert.same({ case[2][1], case[2][2], case[2][3] }, y.shape)
      assert.equal(case[2][4], pixels.md5(y))
    end)
  end

  it("take any strides, and batches", function()
    local turned = picture:transpose(2, 3)
    for _, stage in ipairs { T.Resize { 9, 40 }, T.RandomRotation { { 20, 20 } }, T.CenterCrop(30),
      T.ColorJitter { hue = { 0.1, 0.1 } } } do
      assert.equal(pixels.md5(stage(turned:contiguous())), pixels.md5(stage(turned)))
      local batch = stage(mascon.stack { picture, picture })
      assert.equal(pixels.md5(stage(picture)), pixels.md5(batch[2]))
    end
  end)

  it("do not widen the filter without antialias", function()
    local x = places(1, 8, 8)
    -- at a quarter of the size, bilinear takes the mean of the two middle pixels of each four
    local y = T.Resize({ 2, 2 }, { antialias = false })(x):totable()[1]
    local v = x:totable()[1]
    assert.equal(math.floor((v[2][2] + v[2][3] + v[3][2] + v[3][3]) / 4 + 0.5), y[1][1])
    assert.not_equal(pixels.md5(T.Resize { 3, 3 }(x)),
      pixels.md5(T.Resize({ 3, 3 }, { antialias = false })(x)))
  end)

  it("resize through mascon.image, too", function()
    assert.equal(pixels.md5(T.Resize({ 9, 11 }, { interpolation = "bicubic" })(picture)),
      pixels.md5(mascon.image.resize(picture, { 9, 11 }, { interpolation = "bicubic" })))
    assert.same({ 3, 10, 16 }, mascon.image.resize(picture, 10).shape)
  end)

  it("weigh colours by their opacity when they resize, as Pillow does", function()
    local values = {}
    for i = 1, 48 do
      values[i] = (i - 1) * 37 % 256
    end
    local clear = mascon.tensor(values, { dtype = "uint8" }):reshape(4, 3, 4):permute(3, 1, 2)
    local resize = mascon.image.resize
    assert.same({ { { 45, 78 }, { 100, 110 }, { 83, 97 } }, { { 80, 76 }, { 137, 73 }, { 121, 136 } },
      { { 90, 115 }, { 149, 110 }, { 131, 140 } }, { { 79, 104 }, { 145, 90 }, { 143, 120 } } },
      resize(clear, { 3, 2 }):totable())
    assert.same({ { { 29, 78 }, { 100, 111 }, { 81, 97 } }, { { 70, 78 }, { 139, 63 }, { 118, 140 } },
      { { 77, 116 }, { 152, 105 }, { 131, 142 } }, { { 69, 107 }, { 152, 85 }, { 144, 118 } } },
      resize(clear, { 3, 2 }, { interpolation = "bicubic" }):totable())
    assert.same({ { { 100, 117, 141, 112, 95 }, { 160, 138, 88, 128, 157 } },
      { { 99, 100, 101, 102, 102 }, { 175, 147, 104, 105, 105 } } },
      resize(clear:narrow(1, 3, 2), { 2, 5 }):totable())
    assert.equal(37, clear[{ 2, 1, 1 }]:item()) -- the picture itself is as it was
  end)

  it("crop, flip, pad and erase float pictures, too", function()
    local x = T.ToTensor()(picture)
    for _, stage in ipairs { T.CenterCrop(9), T.RandomHorizontalFlip(1), T.RandomVerticalFlip(1),
      T.Pad(2), T.Pad(2, { padding_mode = "reflect" }) } do
      assert.equal(pixels.md5(T.ToTensor()(stage(picture))), pixels.md5(stage(x)))
    end
    fails("RandomRotation: RandomRotation takes uint8 pictures, this one is float32\n"
      .. "hint: ToTensor() comes behind RandomRotation", function() T.RandomRotation(10)(x) end)
  end)

  it("are the same fused and one by one", function()
    local normalize = T.Normalize({ 0.5, 0.4, 0.3 }, { 0.2, 0.3, 0.4 })
    local stages = { T.Pad(3, { fill = { 1, 2, 3 } }), T.CenterCrop { 20, 36 },
      T.RandomHorizontalFlip(1), T.RandomVerticalFlip(1), T.ToTensor(), T.Pad { 1, 2 }, normalize,
      T.CenterCrop(19), T.ConvertImageDtype "uint8", T.Grayscale(3), T.ToTensor() }
    local x = picture
    for _, stage in ipairs(stages) do
      x = stage(x)
    end
    assert.equal(pixels.md5(x), pixels.md5(fused(stages, picture)))
  end)
end)

describe("random transforms", function()
  it("RandomCrop: every place equally often", function()
    mascon.manual_seed(1)
    local x = places(1, 6, 6)
    local crop, count = T.RandomCrop(4, { padding = 1 }), {}
    for _ = 1, 2500 do
      local corner = crop(x):totable()[1][2][2] -- inside of the picture, wherever the crop lies
      count[corner] = (count[corner] or 0) + 1
    end
    local places_seen = 0
    for _, n in pairs(count) do
      places_seen = places_seen + 1
      assert.is_true(n > 50 and n < 160, n) -- 100 expected, deviation 10
    end
    assert.equal(25, places_seen)
  end)

  it("RandomCrop pads what is too small when asked", function()
    local x = places(3, 4, 4)
    fails("RandomCrop: crop 6x6 is larger than the padded picture 4x4\nhint: pad_if_needed = true",
      function() T.RandomCrop(6)(x) end)
    assert.same({ 3, 6, 6 }, T.RandomCrop(6, { pad_if_needed = true })(x).shape)
    assert.same({ 3, 7, 7 }, T.RandomCrop(7, { pad_if_needed = true,
      padding_mode = "symmetric" })(x).shape)
  end)

  it("RandomHorizontalFlip: with probability p", function()
    mascon.manual_seed(2)
    local x = places(1, 1, 2)
    for _, p in ipairs { 0.5, 0.2 } do
      local flip, n = T.RandomHorizontalFlip(p), 0
      for _ = 1, 2000 do
        n = n + (flip(x):totable()[1][1][1] == x:totable()[1][1][2] and 1 or 0)
      end
      assert.is_true(math.abs(n / 2000 - p) < 0.05, n)
    end
  end)

  it("RandomResizedCrop: parts of the asked sizes", function()
    mascon.manual_seed(3)
    local t = {}
    for y = 1, 100 do
      t[y] = {}
      for x = 1, 100 do
        t[y][x] = x
      end
    end
    local x = mascon.tensor({ t }, { dtype = "uint8" })
    local crop = T.RandomResizedCrop({ 1, 50 }, { scale = { 0.25, 0.25 }, ratio = { 1, 1 },
      interpolation = "nearest" })
    local low, high, sum = 1000, 0, 0
    for _ = 1, 400 do
      local row = crop(x):totable()[1][1]
      assert.equal(49, row[50] - row[1]) -- a quarter of the area: 50 x 50
      low, high, sum = math.min(low, row[1]), math.max(high, row[1]), sum + row[1]
    end
    assert.is_true(low <= 3 and high >= 49 and high <= 51)
    assert.is_true(math.abs(sum / 400 - 26) < 3)
    -- a ratio that cannot be met: the middle
    local wide = T.RandomResizedCrop({ 10, 10 }, { scale = { 1, 1 }, ratio = { 2, 2 },
      interpolation = "nearest" })(x):totable()[1]
    assert.same({ 6, 96 }, { wide[1][1], wide[1][10] })
  end)

  it("RandomErasing: rectangles of the asked sizes", function()
    mascon.manual_seed(4)
    local x = mascon.ones { 2, 20, 20 }
    local erase, hits = T.RandomErasing(0.5, { scale = { 0.1, 0.2 }, ratio = { 1, 1 },
      value = { 5, 7 } }), 0
    for _ = 1, 300 do
      local y = erase(x)
      local a, b = y[1]:eq(5):sum():item(), y[2]:eq(7):sum():item()
      assert.equal(a, b)
      assert.equal(400 - a, y[1]:eq(1):sum():item())
      hits = hits + (a > 0 and 1 or 0)
      assert.is_true(a == 0 or a >= 36 and a <= 81, a) -- 6 x 6 to 9 x 9
    end
    assert.is_true(math.abs(hits - 150) < 40, hits)
    local noise = T.RandomErasing { p = 1, scale = { 0.8, 0.9 }, ratio = { 1, 1 }, value = "random" }(
      mascon.zeros { 3, 40, 40 })
    local changed = noise:ne(0):sum():item()
    assert.is_true(changed > 3000)
    assert.is_true(math.abs(noise:sum():item() / changed) < 0.1)
    assert.equal(1, x:min():item()) -- the input stays
  end)

  it("ColorJitter: factors within their ranges", function()
    mascon.manual_seed(5)
    local x = mascon.full({ 3, 2, 2 }, 100, { dtype = "uint8" })
    local low, high = 255, 0
    local jitter = T.ColorJitter { brightness = 0.5 }
    for _ = 1, 300 do
      local v = jitter(x):totable()[1][1][1]
      low, high = math.min(low, v), math.max(high, v)
    end
    assert.is_true(low >= 50 and low < 55 and high <= 150 and high > 145)
    assert.equal(pixels.md5(x), pixels.md5(T.ColorJitter()(x)))
  end)

  it("draw from the script's generator", function()
    local x = datasets.FakeData({ size = 1 }):get(1)
    local stage = T.Compose { T.RandomCrop(32, { padding = 4 }), T.RandomRotation(30) }
    mascon.manual_seed(6)
    local first, second = pixels.md5(stage(x)), pixels.md5(stage(x))
    mascon.manual_seed(6)
    assert.equal(first, pixels.md5(stage(x)))
    assert.equal(second, pixels.md5(stage(x)))
    assert.not_equal(first, second)
  end)
end)

describe("a loader with random transforms", function()
  local function stages()
    return { T.RandomCrop(16, { padding = 4 }), T.RandomHorizontalFlip(), T.RandomRotation(20),
      T.ColorJitter(0.2, 0.2, 0.2, 0.1), T.ToTensor(), T.RandomErasing(0.8) }
  end

  local function fake(list)
    return datasets.FakeData { size = 50, image_size = { 3, 16, 16 }, transform = T.Compose(list) }
  end

  it("gives the same batches for any number of workers, others each epoch", function()
    local expected
    for _, workers in ipairs { 0, 1, 3 } do
      local loader = data.DataLoader(fake(stages()), { batch_size = 8, num_workers = workers, seed = 5 })
      local both = { epoch(loader), epoch(loader) }
      expected = expected or both
      assert.same(expected, both)
      assert.not_same(both[1], both[2])
    end
    local other = data.DataLoader(fake(stages()), { batch_size = 8, seed = 6 })
    assert.not_same(expected[1], epoch(other))
  end)

  it("gives the same pictures whatever the batch size and the order", function()
    local function pictures(o)
      o.seed = 5
      local list = {}
      for X, y in data.DataLoader(fake(stages()), o)() do
        for k = 1, #y do
          list[#list + 1] = pixels.md5(X[k])
        end
      end
      return list
    end
    local whole = pictures { batch_size = 50 }
    assert.same(whole, pictures { batch_size = 7 })
    local two = pictures { sampler = { 40, 3 } }
    assert.same({ whole[40], whole[3] }, two)
  end)

  it("gives the same batches when Lua takes part", function()
    local o = { batch_size = 8, seed = 5, shuffle = true }
    local expected = epoch(data.DataLoader(fake(stages()), o))
    for at = 1, 7 do
      local list = stages()
      table.insert(list, at, T.Lambda(function(x) return x end))
      assert.same(expected, epoch(data.DataLoader(fake(list), o)))
    end
    local plain = fake(stages())
    local wrapped = { classes = plain.classes, len = function() return 50 end,
      get = function(_, i) return plain:get(i) end }
    assert.same(expected, epoch(data.DataLoader(wrapped, o)))
  end)

  it("goes on where it was cut", function()
    for _, workers in ipairs { 0, 2 } do
      local o = { batch_size = 8, seed = 5, shuffle = true, num_workers = workers }
      local loader = data.DataLoader(fake(stages()), o)
      epoch(loader)
      local whole = epoch(loader)
      local first = data.DataLoader(fake(stages()), o)
      epoch(first)
      local step = first()
      step()
      step()
      local second = data.DataLoader(fake(stages()), o)
      second:load_state_dict(first:state_dict())
      first:close()
      assert.same({ unpack(whole, 3) }, epoch(second))
    end
  end)

  it("fuses crop, flip, ToTensor and Normalize without a change", function()
    local list = { T.RandomCrop(16, { padding = 4, fill = { 10, 20, 30 } }), T.RandomHorizontalFlip(),
      T.ToTensor(), T.Normalize({ 0.5, 0.4, 0.3 }, { 0.2, 0.3, 0.4 }) }
    local X = data.DataLoader(fake(list), { batch_size = 50, seed = 9 })()()
    local raw = data.DataLoader(fake { list[1], list[2] }, { batch_size = 50, seed = 9 })()()
    assert.equal(layer.C.MASCON_LAYOUT_NHWC, layer.C.mascon_tensor_layout(X.h))
    assert.equal(pixels.md5(list[4](list[3](raw))), pixels.md5(X))
  end)
end)

describe("transforms", function()
  it("print what they are", function()
    assert.equal("RandomCrop(32, padding = 4)", tostring(T.RandomCrop(32, { padding = 4 })))
    assert.equal("Resize({8, 9}, interpolation = bicubic)",
      tostring(T.Resize({ 8, 9 }, { interpolation = "bicubic" })))
    assert.equal("RandomHorizontalFlip(p = 0.5)", tostring(T.RandomHorizontalFlip()))
  end)

  it("check their arguments", function()
    fails("Resize: size is missing", T.Resize)
    fails("Resize: size is {0, 3}; expected a whole number from 1, or {height, width}", T.Resize,
      { 0, 3 })
    fails('Resize: interpolation is "cubic"; expected one of nearest, bilinear, bicubic', T.Resize, 3,
      { interpolation = "cubic" })
    fails("Resize: max_size is for a size of one number", T.Resize, { 3, 3 }, { max_size = 9 })
    fails("Resize: max_size is 3; must be above the size of the shorter side, 3", function()
      T.Resize(3, { max_size = 3 })(places(1, 4, 4))
    end)
    fails('RandomCrop: unknown option "pading"\nhint: did you mean "padding"?', T.RandomCrop, 32,
      { pading = 4 })
    fails("RandomCrop: padding is {1, 2, 3}; expected a whole number", T.RandomCrop, 32,
      { padding = { 1, 2, 3 } })
    fails("RandomHorizontalFlip: p is 1.5; must be in [0, 1]", T.RandomHorizontalFlip, 1.5)
    fails("RandomRotation: degrees is -3; must be 0 or more", T.RandomRotation, -3)
    fails("ColorJitter: hue is 0.6; must be in [0, 0.5]", T.ColorJitter, { hue = 0.6 })
    fails("ColorJitter: brightness is {2, 1}; expected {smallest, largest}", T.ColorJitter,
      { brightness = { 2, 1 } })
    fails("RandomResizedCrop: scale is {1, 0}; expected {smallest, largest}", T.RandomResizedCrop, 8,
      { scale = { 1, 0 } })
    fails('RandomErasing: value is "noise"; expected a number', T.RandomErasing, { value = "noise" })
    fails("Grayscale: num_output_channels is 2; expected one of 1, 3", T.Grayscale, 2)
  end)

  it("check their pictures", function()
    fails("Pad: Pad has 2 values of a colour, the picture has 3 channels", function()
      T.Pad(1, { fill = { 1, 2 } })(places(3, 2, 2))
    end)
    fails("Pad: padding 4 is too much to reflect a picture 4x4", function()
      T.Pad(4, { padding_mode = "reflect" })(places(3, 4, 4))
    end)
    fails("Grayscale: Grayscale takes pictures with 1 or 3 channels, this one has 2", function()
      T.Grayscale()(places(2, 4, 4))
    end)
    fails("Resize of a picture {3, 0, 4}", function()
      T.Resize(4)(mascon.zeros({ 3, 0, 4 }, { dtype = "uint8" }))
    end)
  end)
end)
