DEBUG = True
SECRET_KEY = "of a test"
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = []
