-- Known networks: names, state dicts, scores and preprocessing as torchvision has them; weights by path
-- and by name.

local ffi = require "ffi"
local filled = require "spec.support.filled"
local layer = require "mascon.ffi"
local m = require "mascon"
local nn, models, T = m.nn, m.models, m.transforms

local golden, info = m.load "spec/golden/models.safetensors"
local entries = assert(loadstring("return " .. info.metadata.entries))()

local function message_of(fn, ...)
  local good, message = pcall(fn, ...)
  assert.is_false(good)
  return message
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), text)
end

local function new_path(ending)
  local path = os.tmpname()
  os.remove(path)
  return path .. ending
end

describe("models", function()
  it("have torchvision's names and state dicts", function()
    for _, name in ipairs(models.list()) do
      assert.truthy(entries[name], name .. " is not in the golden file")
      local net = nn.init.skip(models[name])
      assert.equal(entries[name].keys, filled.digest(net), name)
      net = nil -- luacheck: ignore (so that the collector may take it)
      collectgarbage()
    end
    local n = 0
    for _ in pairs(entries) do
      n = n + 1
    end
    assert.equal(n, #models.list())
  end)

  it("compute torchvision's scores", function()
    for name, entry in pairs(entries) do
      if entry.scores then
        local net = filled.fill_module(nn.init.skip(models[name])):eval()
        local scores = m.no_grad(function() return net(filled.pictures()) end)
        local expected = golden[entry.scores]
        local off = (scores - expected):abs():max():item() / expected:abs():max():item()
        assert.is_true(off < 1e-5, ("%s: relative difference %.2e"):format(name, off))
      end
    end
  end)

  it("begin with torchvision's values", function()
    m.manual_seed(1)
    local net = models.resnet18 { zero_init_residual = true, num_classes = 10 }
    local w = net.layer2[1].conv1.weight -- He's numbers of the outgoing connections
    assert.is_true(math.abs(w:std():item() - math.sqrt(2 / (128 * 9))) < 5e-4)
    assert.is_true(net.bn1.weight:eq(1):all():item())
    assert.is_true(net.layer1[2].bn1.weight:eq(1):all():item())
    assert.is_true(net.layer1[2].bn2.weight:eq(0):all():item())
    assert.is_true(net.fc.weight:abs():max():item() <= 1 / math.sqrt(512))
    assert.same({ 2, 10 }, net(m.randn { 2, 3, 32, 32 }).shape)
    assert.is_true(net.training)
  end)

  it("take torchvision's options", function()
    local net = nn.init.skip(models.resnet50, { replace_stride_with_dilation = { false, true, true },
      norm_layer = function(n) return nn.GroupNorm(8, n) end })
    assert.same({ 2, 2 }, net.layer3[2].conv2.dilation)
    assert.same({ 1, 1 }, net.layer4[1].conv2.stride)
    assert.same({ 2, 2 }, net.layer4[1].conv2.dilation)
    assert.same({ 4, 4 }, net.layer4[2].conv2.dilation)
    assert.equal("GroupNorm", net.bn1.class_name)
    local small = models.ResNet(models.BasicBlock, { 1, 1, 1, 1 }, { num_classes = 5 })
    assert.same({ 1, 5 }, small:eval()(m.randn { 1, 3, 32, 32 }).shape)
    has(message_of(models.resnet18, { num_clases = 3 }), 'resnet18: unknown option "num_clases"\nhint: did you mean '
      .. '"num_classes"?')
    has(message_of(models.resnext50_32x4d, { groups = 2 }), 'resnext50_32x4d: unknown option "groups"')
    has(message_of(models.resnet18, { replace_stride_with_dilation = { true, true, true } }),
      "BasicBlock: replace_stride_with_dilation needs")
    has(message_of(models.resnet18, { width_per_group = 128 }), "BasicBlock: groups is 1 and width_per_group is 128")
    has(message_of(models.resnet50, { replace_stride_with_dilation = { true } }), "takes three of true and false")
  end)

  it("are found by name, and the nearest is suggested", function()
    has(message_of(function() return models.resnet51 end), "models: there is no models.resnet51\nhint: did you mean "
      .. "models.resnet")
    local names = table.concat(models.list(), " ")
    for _, name in ipairs { "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
      "wide_resnet50_2" } do
      has(names, name)
    end
  end)

  it("pass on what lies inside in messages", function()
    has(message_of(nn.init.skip(models.resnet18), m.zeros { 1, 4, 32, 32 }), "in ResNet.conv1")
  end)
end)

describe("models.weights", function()
  it("tell where weights are, what they know, and what pictures they take", function()
    local w = models.weights.resnet50.IMAGENET1K_V2
    assert.equal("https://download.pytorch.org/models/resnet50-11ad3fa6.pth", w.url)
    assert.equal("11ad3fa6", w.sha256)
    assert.equal(w, models.weights.resnet50.DEFAULT)
    assert.equal(1000, #w.categories)
    assert.equal("tench", w.categories[1])
    assert.equal("toilet tissue", w.categories[1000])
    assert.equal("Compose(Resize(232, interpolation = bilinear), CenterCrop(224), ToTensor(), Normalize(mean = "
      .. "{0.485, 0.456, 0.406}, std = {0.229, 0.224, 0.225}))", tostring(w.transforms()))
    has(tostring(models.weights.resnet50.IMAGENET1K_V1.transforms()), "Resize(256,")
    has(tostring(w.transforms { crop_size = 64, resize_size = 70 }),
      "Resize(70, interpolation = bilinear), CenterCrop(64)")
    has(tostring(w:transforms { crop_size = 64 }), "CenterCrop(64)")
    assert.same({ 3, 224, 224 }, w.transforms()(m.randint(0, 255, { 3, 40, 60 }):to "uint8").shape)
    for _, name in ipairs(models.list()) do
      assert.truthy(models.weights[name].DEFAULT.sha256:find "^%x%x%x%x%x%x%x%x$", name)
    end
  end)

  it("are taken from a file", function()
    local path = new_path ".safetensors"
    local net = models.resnet18()
    m.save(path, net:state_dict())
    local other = models.resnet18 { weights = path }
    for name, t in pairs(net:state_dict()) do
      assert.is_true(t:eq(other:state_dict()[name]):all():item(), name)
    end
    has(tostring(other.preprocess), "Resize(256,")
    assert.equal(getmetatable(T.Compose {}), getmetatable(other.preprocess))
    has(message_of(models.resnet18, { weights = path, num_classes = 10 }), "resnet18: the weights are for 1000 "
      .. "classes, num_classes is 10\nhint: without num_classes = 10, then model.fc = nn.Linear(512, 10)")
    m.save(path, { ["fc.weight"] = m.zeros { 10, 512 } })
    has(message_of(models.resnet18, { weights = path }), "the weights are for 10 classes, num_classes is 1000\n"
      .. "hint: num_classes = 10")
    m.save(path, net:state_dict())
    has(message_of(models.resnet34, { weights = path }), "load_state_dict: ")
    m.save(path, { state_dict = net:state_dict() })
    has(message_of(models.resnet18, { weights = path }), "the tensors lie one level deeper")
    os.remove(path)
    has(message_of(models.resnet18, { weights = path }), "no such file")
  end)

  it("refuse what they are not", function()
    has(message_of(models.resnet50, { weights = "IMAGENET1K_V3" }), 'resnet50: there is no file and there are no '
      .. 'weights "IMAGENET1K_V3"\nhint: did you mean "IMAGENET1K_V')
    has(message_of(models.resnet50, { weights = models.weights.resnet18.DEFAULT }),
      "resnet50: weights are those of resnet18")
    has(message_of(models.resnet50, { weights = {} }), "resnet50: weights is a table; expected a path or a name")
    has(message_of(models.resnet50, { weights = 3 }), "resnet50: weights is a number; expected")
  end)
end)

ffi.cdef "int setenv(const char *name, const char *value, int overwrite); int unsetenv(const char *name);"

--- Runs fn with a cache folder of its own and a program curl that does what `script` says.
local function with_curl(script, fn)
  local folder = new_path ""
  assert(os.execute("mkdir -p " .. folder .. "/bin") ~= nil)
  local file = assert(io.open(folder .. "/bin/curl", "w"))
  file:write("#!/bin/sh\nwhile [ \"$1\" != --output ]; do shift; done\nout=$2\nurl=$3\n", script, "\n")
  file:close()
  os.execute("chmod +x " .. folder .. "/bin/curl")
  local path, cache, err = os.getenv "PATH", os.getenv "MASCON_CACHE", io.stderr
  ffi.C.setenv("PATH", folder .. "/bin:" .. path, 1)
  ffi.C.setenv("MASCON_CACHE", folder .. "/cache", 1)
  io.stderr = { write = function() end } -- luacheck: ignore 122
  local good, message = pcall(fn, folder)
  io.stderr = err -- luacheck: ignore 122
  ffi.C.setenv("PATH", path, 1)
  if cache then
    ffi.C.setenv("MASCON_CACHE", cache, 1)
  else
    ffi.C.unsetenv "MASCON_CACHE"
  end
  os.execute("rm -rf " .. folder)
  assert(good, message)
end

describe("weights by name", function()
  it("say where to put the file where there is no network", function()
    with_curl("echo 'curl: (6) Could not resolve host' >&2; exit 6", function(folder)
      local text = message_of(models.resnet50, { weights = "IMAGENET1K_V2" })
      has(text, ("resnet50: weights IMAGENET1K_V2 are not in %s/cache: cannot download "
        .. "https://download.pytorch.org/models/resnet50-11ad3fa6.pth: curl: (6) Could not resolve host")
        :format(folder))
      has(text, ('hint: put https://download.pytorch.org/models/resnet50-11ad3fa6.pth there as '
        .. '%s/cache/resnet50-11ad3fa6.pth, or give weights = "PATH"'):format(folder))
    end)
  end)

  it("refuse a file with another check sum, and leave nothing behind", function()
    with_curl("echo wrong > \"$out\"", function(folder)
      has(message_of(models.resnet18, "DEFAULT"), "resnet18-f37072fd.pth has SHA-256 ")
      assert.equal("0\n", io.popen("ls " .. folder .. "/cache | wc -l"):read "*a")
    end)
  end)

  it("come from the cache folder once they are there", function()
    local tiny = models.weights.resnet18.DEFAULT
    with_curl("cp \"$(dirname \"$0\")/../weights\" \"$out\"", function(folder)
      local net = models.resnet18()
      m.save(folder .. "/weights", net:state_dict())
      local hex = layer.new "char[65]"
      layer.check(layer.C.mascon_file_sha256(folder .. "/weights", hex))
      local sum = tiny.sha256
      tiny.sha256 = layer.string(hex):sub(1, 8)
      local good, got = pcall(models.resnet18, { weights = "DEFAULT" })
      tiny.sha256 = sum
      assert(good, got)
      assert.is_true(got.fc.weight:eq(net.fc.weight):all():item())
      has(tostring(got.preprocess), "Resize(256,")
      os.remove(folder .. "/weights")
      os.remove(folder .. "/bin/curl")
      assert.is_true(models.resnet18(tiny).fc.bias:eq(net.fc.bias):all():item())
      assert.equal(layer.string(hex), io.popen("sha256sum " .. folder .. "/cache/" .. tiny.file):read(64))
    end)
  end)
end)

describe("SHA-256", function()
  it("equals the program sha256sum for lengths around the blocks", function()
    local path = new_path ""
    local hex = layer.new "char[65]"
    for _, n in ipairs { 0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000, 300000 } do
      local bytes = {}
      for i = 1, n do
        bytes[i] = string.char((i * 7 + n) % 256)
      end
      bytes = table.concat(bytes)
      local file = assert(io.open(path, "wb"))
      file:write(bytes)
      file:close()
      layer.check(layer.C.mascon_file_sha256(path, hex))
      local pipe = io.popen("sha256sum " .. path)
      local expected = pipe:read(64)
      pipe:close()
      assert.equal(expected, layer.string(hex), n .. " bytes")
      local box = layer.new "mascon_digest *[1]"
      layer.check(layer.C.mascon_digest_new(box))
      for first = 1, n, 37 do -- in pieces
        local piece = bytes:sub(first, first + 36)
        layer.C.mascon_digest_add(box[0], piece, #piece)
      end
      layer.C.mascon_digest_text(box[0], hex)
      layer.C.mascon_digest_release(box[0])
      assert.equal(expected, layer.string(hex), n .. " bytes in pieces")
    end
    os.remove(path)
  end)
end)
