-- mascon.features: the frozen part computed once.

local m = require "mascon"
local nn, T, data = m.nn, m.transforms, m.data

local SAMPLES = 70

local function fake(transform, given)
  local o = { size = SAMPLES, image_size = { 3, 8, 8 }, transform = transform or T.ToTensor() }
  for key, v in pairs(given or {}) do
    o[key] = v
  end
  return m.datasets.FakeData(o)
end

local function loader(ds, given)
  local o = { batch_size = 16 }
  for key, v in pairs(given or {}) do
    o[key] = v
  end
  return data.DataLoader(ds or fake(), o)
end

local function backbone(seed)
  m.manual_seed(seed or 1)
  return nn.Sequential(nn.Conv2d(3, 6, 3, { padding = 1 }), nn.BatchNorm2d(6), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5))
end

local function frozen(seed)
  return backbone(seed):freeze():eval()
end

--- Features and labels of all samples, one by one.
local function expected(net, ds)
  local rows, labels = {}, {}
  for i = 1, ds:len() do
    local x, y = ds:get(i)
    rows[i] = m.no_grad(function() return net(x:unsqueeze(1)):clone() end)
    labels[i] = y
  end
  return m.cat(rows), m.tensor(labels, { dtype = "int64" })
end

local function check_equal(set, net, ds)
  local rows, labels = expected(net, ds)
  assert.equal(ds:len(), set:len())
  assert.is_true(m.allclose(set.tensors[1], rows, { rtol = 1e-5, atol = 1e-6 }))
  assert.is_true(set.tensors[2]:eq(labels):all():item())
end

local function message_of(fn, ...)
  local good, message = pcall(fn, ...)
  assert.is_false(good)
  return message
end

--- Calls fn and returns its result and what it wrote to standard error.
local function quiet(fn, ...)
  local before = io.stderr
  local said = {}
  io.stderr = { write = function(_, ...) said[#said + 1] = table.concat { ... } end } -- luacheck: ignore 122
  local results = { pcall(fn, ...) }
  io.stderr = before -- luacheck: ignore 122
  assert(results[1], results[2])
  return results[2], table.concat(said)
end

describe("features", function()
  it("are what the backbone computes, in the order of the data set", function()
    local net, ds = frozen(), fake()
    for _, given in ipairs { {}, { shuffle = true }, { num_workers = 2, shuffle = true }, { drop_last = true } } do
      local set = m.features(net, loader(ds, given))
      check_equal(set, net, ds)
      assert.same({ SAMPLES, 6 }, set.tensors[1].shape)
      assert.equal(ds.classes, set.classes)
      assert.is_false(set.reused)
    end
    local x, y = m.features(net, loader(ds)):get(3)
    assert.same({ 6 }, x.shape)
    assert.equal(select(2, ds:get(3)), y:item())
  end)

  it("train a head as the whole network does", function()
    local net, ds = frozen(), fake()
    local function train(head, batches, of)
      local optimizer = m.optim.SGD(head:parameters(), { lr = 0.5 })
      local losses = {}
      for _ = 1, 3 do
        for x, y in batches() do
          local loss = nn.functional.cross_entropy(head(of(x)), y)
          optimizer:zero_grad()
          loss:backward()
          optimizer:step()
          losses[#losses + 1] = loss:item()
        end
      end
      return losses
    end
    local head = nn.Linear(6, 10)
    local other = head:clone()
    local whole = train(head, loader(ds, { shuffle = true, seed = 5 }), function(x) return net(x) end)
    local cached = train(other, loader(m.features(net, loader(ds)), { shuffle = true, seed = 5 }),
      function(x) return x end)
    for i, v in ipairs(whole) do
      assert.is_true(math.abs(v - cached[i]) < 1e-5, ("loss %d: %g, %g"):format(i, v, cached[i]))
    end
  end)

  it("keep their form: maps, subsets, joined sets, several values", function()
    m.manual_seed(1)
    local net = nn.Sequential(nn.Conv2d(3, 4, 3)):freeze()
    local ds = data.Subset(data.ConcatDataset { fake(), fake(T.ToTensor(), { random_offset = 500 }) },
      { 1, 140, 71, 3 })
    local set = m.features(net, loader(ds, { batch_size = 3 }))
    assert.same({ 4, 4, 6, 6 }, set.tensors[1].shape)
    local x = m.randn { 5, 3, 8, 8 }
    set = m.features(net, loader(data.TensorDataset(x, m.range(1, 5), m.range(6, 10))))
    assert.equal(3, #set.tensors)
    assert.is_true(m.allclose(set.tensors[1], m.no_grad(function() return net(x) end), { rtol = 1e-5, atol = 1e-6 }))
    assert.same({ 6, 7, 8, 9, 10 }, set.tensors[3]:totable())
  end)

  it("follow a sampler that is a list", function()
    local net, ds = frozen(), fake()
    local set = m.features(net, loader(ds, { sampler = { 5, 1, 5 } }))
    check_equal(set, net, data.Subset(ds, { 5, 1, 5 }))
  end)

  it("outlive a scope and need no gradient", function()
    local set = m.scope(function() return m.features(frozen(), loader()) end)
    assert.is_false(set.tensors[1].requires_grad)
    local head = nn.Linear(6, 10)
    head(set.tensors[1]):sum():backward()
    assert.truthy(head.weight.grad)
  end)

  it("leave the loader and the random generator alone", function()
    local l = loader(fake(), { shuffle = true })
    m.manual_seed(3)
    local net = frozen()
    m.manual_seed(3)
    m.features(net, l)
    local a = m.rand { 4 }
    m.manual_seed(3)
    assert.is_true(a:eq(m.rand { 4 }):all():item())
    assert.equal(0, l.epoch)
  end)
end)

describe("features refuse", function()
  it("a backbone that training would change", function()
    local text = message_of(m.features, backbone():eval(), loader())
    assert.truthy(text:find("features: 4 of 4 parameters of the backbone are trainable (0.weight ...): features "
      .. "computed once would not follow their training\nhint: backbone:freeze(), or allow_trainable = true", 1, true))
    m.features(backbone():eval(), loader(), { allow_trainable = true })
  end)

  it("statistics that move", function()
    local net = backbone():requires_grad_(false)
    local text = message_of(m.features, net, loader())
    assert.truthy(text:find("features: the backbone is in train(): the statistics of 1 batch norm (1) move with "
      .. "every batch\nhint: backbone:freeze() or backbone:eval() holds them", 1, true))
    m.features(net, loader(), { allow_training = true, allow_random = true })
    assert.equal(5, net[2].num_batches_tracked:item())
  end)

  it("dropout that drops", function()
    local net = backbone():freeze()
    local text = message_of(m.features, net, loader())
    assert.truthy(text:find("features: the backbone is in train(): 1 dropout (5) drops other values in every epoch",
      1, true))
    m.features(net, loader(), { allow_random = true })
  end)

  it("batch norm by the batch alone", function()
    local net = nn.Sequential(nn.BatchNorm2d(3, { track_running_stats = false })):freeze():eval()
    assert.truthy(message_of(m.features, net, loader()):find("0 normalises by its batch", 1, true))
  end)

  it("random augmentation", function()
    local random = T.Compose { T.RandomHorizontalFlip(), T.ToTensor() }
    for _, ds in ipairs { fake(random), data.Subset(fake(random), { 1, 2 }),
      data.ConcatDataset { fake(), fake(random) } } do
      local text = message_of(m.features, frozen(), loader(ds))
      assert.truthy(text:find("features: transform RandomHorizontalFlip is random: every epoch would see other "
        .. "pictures\nhint: ", 1, true), text)
      m.features(frozen(), loader(ds), { allow_random = true })
    end
  end)

  it("a script's data set or transform that gives something else each time", function()
    local n = 0
    local own = { len = function() return 4 end, get = function() n = n + 1 return m.full({ 3, 8, 8 }, n), 1 end }
    local again = "features: the data set gives another sample when it is asked again"
    assert.truthy(message_of(m.features, frozen(), loader(own)):find(again, 1, true))
    local noise = T.Compose { T.ToTensor(), T.Lambda(function(x) return x + m.rand { 3, 8, 8 } end) }
    assert.truthy(message_of(m.features, frozen(), loader(fake(noise))):find(again, 1, true))
    m.manual_seed(2)
    local a = m.rand { 1 }:item()
    m.manual_seed(2)
    pcall(m.features, frozen(2), loader(fake(noise)))
    m.manual_seed(2)
    assert.equal(a, m.rand { 1 }:item())
    local plain = { len = function() return 4 end, get = function(_, i) return m.full({ 3, 8, 8 }, i), i end }
    assert.equal(4, m.features(frozen(), loader(plain)):len())
  end)

  it("what is no backbone, no loader, no rows", function()
    assert.truthy(message_of(m.features, 3, loader()):find("features: argument 1 is 3; expected a module", 1, true))
    assert.truthy(message_of(m.features, frozen(), fake()):find(
      "features: argument 2 is a table; expected a DataLoader", 1, true))
    local Sum = nn.Module:extend "Sum"
    function Sum:forward(x) return x:sum() end
    assert.truthy(message_of(m.features, Sum(), loader()):find(
      "features: the backbone makes a tensor {} of a batch of 16", 1, true))
    assert.truthy(message_of(m.features, frozen(), loader(), { fil = "x" }):find('unknown option "fil"', 1, true))
    assert.truthy(message_of(m.features, frozen(), loader(fake(), { sampler = function() return { 1 } end })):find(
      "the loader's sampler is a function", 1, true))
    assert.truthy(message_of(m.features, frozen(), loader(fake(), { collate_fn = function() end })):find(
      "the loader has a collate_fn", 1, true))
  end)
end)

describe("features in a file", function()
  local path
  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)
  after_each(function()
    os.remove(path)
  end)

  local function features(net, l, given)
    local o = { file = path }
    for key, v in pairs(given or {}) do
      o[key] = v
    end
    return quiet(m.features, net, l, o)
  end

  it("are used again while nothing has changed", function()
    local net = frozen()
    local first = features(net, loader())
    assert.is_false(first.reused)
    local rows = m.profile(function()
      local again, said = features(frozen(), loader(fake(), { shuffle = true, batch_size = 7 }))
      assert.is_true(again.reused)
      assert.equal("", said)
      assert.is_true(again.tensors[1]:eq(first.tensors[1]):all():item())
      assert.is_true(again.tensors[2]:eq(first.tensors[2]):all():item())
      assert.equal("int64", again.tensors[2].dtype)
      assert.equal(#first.classes, #again.classes)
    end)
    for _, row in ipairs(rows) do
      assert.is_nil(row.op:find "^conv2d")
    end
  end)

  it("are computed anew when backbone, weights, data or transform change, and say so", function()
    local function check(what, net, l)
      local set, said = features(net, l)
      assert.is_false(set.reused, what)
      assert.truthy(said:find(what, 1, true), said)
      assert.is_true(features(net, l).reused)
    end
    features(frozen(), loader())
    check("the backbone", frozen(2), loader())
    local net = frozen(2)
    m.no_grad(function() net[2].running_mean:add_(0.25) end)
    check("the backbone", net, loader())
    net[3] = nn.Tanh()
    check("the backbone", net, loader())
    net[2].eps = 1e-3
    check("the backbone", net, loader())
    check("the data or its transform", net, loader(fake(T.Compose { T.ToTensor(), T.Normalize(0.5, 0.5) })))
    check("the data or its transform", net, loader(fake(T.Compose { T.ToTensor(), T.Normalize(0.5, 0.25) })))
    check("the data or its transform", net, loader(fake(nil, { random_offset = 1 })))
    check("the data or its transform", net, loader(data.Subset(fake(), { 1, 2, 3 })))
    check("the data or its transform", net, loader(data.Subset(fake(), { 3, 2, 1 })))
    check("the backbone and the data or its transform", frozen(), loader())
  end)

  it("know pictures in files by their bytes", function()
    local root = os.tmpname()
    os.remove(root)
    os.execute("mkdir -p " .. root .. "/cat " .. root .. "/dog")
    local function picture(name, value)
      m.image.write(root .. name, m.full({ 3, 8, 8 }, value, { dtype = "uint8" }))
    end
    picture("/cat/a.png", 10)
    picture("/cat/b.png", 20)
    picture("/dog/a.png", 30)
    local function pictures()
      return loader(m.datasets.ImageFolder { root = root, transform = T.ToTensor() })
    end
    local net = frozen()
    local set = features(net, pictures())
    check_equal(set, net, pictures().dataset)
    assert.same({ "cat", "dog" }, set.classes)
    assert.is_true(features(net, pictures()).reused)
    picture("/dog/a.png", 31)
    assert.is_false(features(net, pictures()).reused)
    os.rename(root .. "/cat/b.png", root .. "/dog/b.png")
    set = features(net, pictures())
    assert.is_false(set.reused)
    assert.same({ 1, 2, 2 }, set.tensors[2]:totable())
    os.execute("rm -rf " .. root)
  end)

  it("tell networks of a script apart by their code", function()
    local function net(forward)
      local Own = nn.Module:extend "Own"
      function Own:init() self.scale = 2 end
      Own.forward = forward
      return Own()
    end
    local function with(fn, k)
      return net(function(self, x) return fn(x:flatten(2):narrow(2, 1, 4)) * self.scale + k end)
    end
    local relu, tanh = nn.functional.relu, nn.functional.tanh
    features(with(relu, 1), loader())
    assert.is_true(features(with(relu, 1), loader()).reused)
    assert.is_false(features(with(tanh, 1), loader()).reused)
    assert.is_false(features(with(tanh, 2), loader()).reused)
    local other = with(tanh, 2)
    other.scale = 3
    assert.is_false(features(other, loader()).reused)
    assert.is_false(features(net(function(_, x) return x:flatten(2) end), loader()).reused)
  end)

  it("need a key where data or transform are a script's own", function()
    local function lambda()
      return loader(fake(T.Compose { T.ToTensor(), T.Lambda(function(x) return x * 2 end) }))
    end
    local text = message_of(m.features, frozen(), lambda(), { file = path })
    assert.truthy(text:find("features: features cannot be kept in a file: the transform has a stage in Lua\n"
      .. "hint: key = ", 1, true))
    local own = { len = function() return 4 end, get = function(_, i) return m.full({ 3, 8, 8 }, i), i end }
    assert.truthy(message_of(m.features, frozen(), loader(own), { file = path }):find("the data set is a script's own",
      1, true))
    assert.is_false(features(frozen(), lambda(), { key = "twice" }).reused)
    assert.is_true(features(frozen(), lambda(), { key = "twice" }).reused)
    assert.is_false(features(frozen(), lambda(), { key = "thrice" }).reused)
    local net = frozen()
    net.f = print
    assert.truthy(message_of(m.features, net, loader(), { file = path }):find("a field of the backbone holds", 1, true))
    net.f = nil
    net[1]:register_forward_hook(function() end)
    assert.truthy(message_of(m.features, net, loader(), { file = path }):find("0 has forward hooks", 1, true))
  end)

  it("never replace another file, and fail before computing where none can be written", function()
    local file = assert(io.open(path, "w"))
    file:write "my notes"
    file:close()
    assert.truthy(message_of(m.features, frozen(), loader(), { file = path }):find("is there and holds no features",
      1, true))
    file = assert(io.open(path))
    assert.equal("my notes", file:read "*a")
    file:close()
    m.save(path, { weights = m.ones { 3 } })
    assert.truthy(message_of(m.features, frozen(), loader(), { file = path }):find("is there and holds no features",
      1, true))
    assert.truthy(message_of(m.features, frozen(), loader(), { file = path .. ".no/features" }):find("features: ",
      1, true))
  end)
end)
