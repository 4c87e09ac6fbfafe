# The base image that images/debian.sh makes the files of.
FROM scratch
ADD root.tar /
ENV LANG=C.UTF-8
CMD ["python3"]
