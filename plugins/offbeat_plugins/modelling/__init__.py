"""Where models are computed: in this process, or in one of their own with limits on time and memory."""
