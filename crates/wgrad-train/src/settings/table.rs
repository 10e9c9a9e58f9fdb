//! The table of settings: the one home of each setting's name, type, default, rule, help and flag.
//!
//! An entry is `name: type = default, for { MODELS = default, .. } => facts;`. Its doc comment is the help text of its
//! flag. [`super::Config`], its defaults and checks, the flags of the command line and docs/settings.md come from here:
//! [`table`] hands all entries to the macro `$make`.

macro_rules! table { ($make:ident) => { $make! {
    "Model" {
        /// Model.
        model: String = "lenet" => about("NAME").rule(OneOf(kinds::names)).aliases(&["arch", "net"]);
        /// Width multiplier of the model's layers.
        width: f64 = 1.0 => about("F").rule(UpTo(64.0)).only(&["image models"]);
        /// Folder of a run with initial weights for this one.
        init_from: Option<String> = None => about("DIR");
        /// Last layer with `init_from`, reinitialised for other classes if new.
        head: String = "keep" => about("NAME").rule(OneOf(|| vec!["keep", "new"])).never(&["generative models"]);
        /// Frozen weights: name patterns, separated by commas, e.g. 'features.*,*.bias'.
        freeze: Option<String> = None => about("PATTERNS").never(&["dcgan"]);
    }
    "Data" {
        /// Data source. Images: fashion-mini, mnist:DIR, fashion-mnist:DIR, cifar10:DIR, folder:DIR; images and masks
        /// (unet): masks:DIR; text: shakespeare-mini, text:FILE, text:DIR.
        data: String = "fashion-mini", for { "unet" = "masks:", "language models" = EMBEDDED_TEXT }
            => about("SPEC").aliases(&["dataset", "data-dir", "data-path"]).resumable();
        /// Fraction of the training data held out for validation.
        val_split: Option<f64> = None => about("F").rule(Share).unset(defaults::val_split);
        /// Augmentations.
        augment: String = "none" => about("LIST").rule(forms::AUGMENT).example("flip,crop:4").only(&["image models"]);
        /// Side of the model's square input images, in pixels.
        image_size: Option<usize> = None => about("N").rule(FromTo(1, 4096)).unset(|| "the model's own".into())
            .aliases(&["imgsz", "img-size", "imgsize", "img", "input-size", "resolution"]).only(&["image models"]);
        /// Mask label excluded from loss and scores.
        ignore: Option<String> = None => about("LABEL").rule(forms::LABEL).example("255 or '#e0e0c0'")
            .only(&["segmenters"]).never(&["image classifiers", "generative models", "language models"]);
        /// Fail on image files that do not decode instead of skipping them.
        strict: bool = false => switch().only(&["image models"]);
        /// Number of threads decoding and augmenting images.
        workers: usize = 2
            => about("N").rule(FromTo(0, 1024)).aliases(&["num-workers"]).only(&["image models"]).resumable();
    }
    "Optimization" {
        /// Number of passes over the training data.
        epochs: u64 = 15 => about("N").rule(AtLeast(1)).replaces("steps").resumable()
            .aliases(&["epoch", "num-epochs", "max-epochs"]);
        /// Total training steps, instead of `epochs`.
        steps: Option<u64> = None, for { "language models" = Some(2000) } => about("N").rule(AtLeast(1)).resumable()
            .aliases(&["max-steps", "num-steps", "iterations", "max-iters"]);
        /// Batch size: images, or rows of text, per step.
        batch_size: usize = 32, for { "dcgan" = 64, "unet" = 8, "language models" = 12, "bert" = 32 }
            => about("N").rule(FromTo(1, MAX_BATCH)).aliases(&["batch", "batchsize", "bs"]);
        /// Gradient accumulation: number of micro-batches per step; less memory, the same update.
        accumulate: usize = 1 => about("N").rule(AtLeast(1)).never(&["dcgan"])
            .aliases(&["grad-accum", "gradient-accumulation-steps", "accumulate-grad-batches"]);
        /// Optimizer.
        optimizer: String = "adam", for { "language models" = "adamw" }
            => about("NAME").rule(OneOf(defaults::optimizers)).aliases(&["opt"]);
        /// Learning rate.
        lr: f64 = 2e-3, for { "gpt" = 4e-3, "bert" = 1e-3, "autoencoder" = 1e-3, "dcgan" = 2e-4 }
            => about("F").rule(Positive).aliases(&["learning-rate", "lr0"]).resumable();
        /// Learning rate schedule.
        schedule: String = "one-cycle", for { "language models" = "linear-warmup", "dcgan" = "constant" }
            => about("NAME").rule(OneOf(defaults::schedules));
        /// Number of steps of linear warm-up: step 1 of N has 1/N of the schedule's learning rate.
        warmup: u64 = 0 => about("N").aliases(&["warmup-steps", "num-warmup-steps"]);
        /// Momentum coefficient, for `optimizer` momentum or nesterov.
        momentum: f64 = 0.9 => about("F").rule(BelowOne);
        /// Storage of the operands of matrix products, convolutions and attention.
        precision: String = "f32" => about("NAME").rule(OneOf(defaults::precisions)).never(&["dcgan"]);
        /// Early stopping: number of evaluations without a lower validation loss.
        patience: Option<u64> = None
            => about("N").rule(AtLeast(1)).aliases(&["early-stopping"]).never(&["dcgan"]).resumable();
    }
    "Regularization" {
        /// Weight decay: L2 penalty, or decoupled (adamw, lamb, lion, muon).
        weight_decay: Option<f64> = None, for { "language models" = Some(0.1) }
            => about("F").rule(NotNegative).unset(defaults::weight_decay).aliases(&["wd"]);
        /// Exclude biases and normalisation weights from weight decay.
        decay_matrices_only: bool = false, for { "language models" = true } => switch();
        /// Limit of the global gradient norm.
        clip_norm: Option<f64> = None, for { "language models" = Some(1.0) } => about("F").rule(Positive);
        /// Limit of each gradient element's magnitude.
        clip_value: Option<f64> = None => about("F").rule(Positive);
        /// Decay of a moving average of the weights, used in evaluation and prediction.
        ema: Option<f64> = None => about("F").rule(Share).example("0.999").never(&["dcgan"]);
        /// Label smoothing.
        label_smoothing: f64 = 0.0 => about("F").rule(BelowOne).example("0.1").never(&["generative models"]);
        /// Dropout rate of a language model.
        dropout: f64 = 0.0 => about("F").rule(BelowOne).only(&["language models"]);
    }
    "Language models" {
        /// Tokenizer of a language model.
        tokenizer: String = "char" => about("NAME").rule(forms::TOKENIZER).only(&["language models"]);
        /// Context length of a language model, in tokens.
        context: Option<usize> = None
            => about("N").rule(FromTo(1, TextModel::MAX_CONTEXT as u64)).unset(defaults::context).only(&["language models"]);
        /// Number of layers of a language model.
        layers: Option<usize> = None
            => about("N").rule(FromTo(1, TextModel::MAX_LAYERS as u64)).unset(defaults::layers).only(&["language models"]);
        /// Width of a language model's hidden state or residual stream.
        hidden: Option<usize> = None
            => about("N").rule(FromTo(1, TextModel::MAX_HIDDEN as u64)).unset(defaults::hidden).only(&["language models"]);
        /// Number of attention heads in gpt and bert.
        heads: Option<usize> = None
            => about("N").rule(FromTo(1, TextModel::MAX_HEADS as u64)).unset(defaults::heads).only(&["language models"]);
        /// Number of key and value heads of gpt, fewer than `heads` for grouped-query attention.
        key_heads: Option<usize> = None
            => about("N").rule(FromTo(1, TextModel::MAX_HEADS as u64)).unset(|| "`heads`".into()).only(&["language models"]);
        /// Use rotary position embeddings in gpt instead of learned ones.
        rotary: bool = false => switch().only(&["language models"]);
    }
    "Run" {
        /// Device.
        device: String = "auto" => about("NAME").rule(forms::DEVICE).resumable();
        /// Random seed of initial values, sample order, augmentation and dropout.
        seed: u64 = 0 => about("N");
        /// Stop at the first NaN or infinity and report its origin (slower).
        detect_anomaly: bool = false => switch();
        /// Tune kernels not tuned before, then start training.
        tune: bool = false => switch();
    }
} } }

pub(super) use table;
